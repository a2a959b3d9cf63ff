"""Runs of kind external: their points, files and end come from a program elsewhere.

running -> succeeded | failed | cancelled | out_of_memory | diverged     the program says so
running -> lost      its heartbeats have stopped
lost -> running      it is heard again, for instance because its network was away
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from webapp.accounts.errors import FieldError, Invalid
from webapp.accounts.models import Project, User
from webapp.runs import blobs, fields, news, paths, plain
from webapp.runs.actions.transitions import announce, change, require
from webapp.runs.errors import PathRefused, WrongState
from webapp.runs.models import Artifact, Outside, Run
from webapp.runs.states import FINAL, Status

EXTERNAL = "external"
OPEN = frozenset({Status.RUNNING, Status.LOST})  # what a lost one had not sent yet still comes
KEY_LENGTH = 200
SILENT = (
    "Its program has sent no heartbeat for {:,.0f} s: it died, or its network is away. If it is heard again it goes on."
)


def takes_points(run: Run) -> bool:
    return run.kind == EXTERNAL and run.status in OPEN


def create_external(
    *,
    project: Project,
    user: User | None,
    name: str,
    tags: Iterable[str] = (),
    spec: dict[str, Any] | None = None,
    baseline: Run | int | None = None,
    key: str | None = None,
) -> Run:
    """A run whose points come from outside; it is running until `finish_external`. Raises Invalid.

    With a `key`, the same request makes one run in its project, however often and at once it is sent.
    """
    tags = list(tags)
    told = {**plain.json(spec or {}), "kind": EXTERNAL}
    digest = _digest([name, tags, told, baseline.pk if isinstance(baseline, Run) else baseline])
    if key is not None and (known := _known(project, key, digest)):
        return known
    try:
        return _create(project, user, told, {"name": name, "tags": tags}, baseline, key, digest)
    except IntegrityError:  # somebody was faster with the same key
        found = _known(project, key, digest) if key is not None else None
        if found is None:
            raise
        return found


@transaction.atomic
def _create(
    project: Project,
    user: User | None,
    spec: dict[str, Any],
    words: dict[str, Any],
    baseline: Run | int | None,
    key: str | None,
    digest: bytes,
) -> Run:
    errors: list[FieldError] = []
    columns = fields.checked(errors, **words, queue="default")
    columns["baseline"] = fields.baseline(errors, baseline, project)
    if errors:
        raise Invalid(errors)
    run = Run(project=project, kind=EXTERNAL, spec=spec, created_by=user, status=Status.RUNNING, **columns)
    run.save(force_insert=True)
    Outside.objects.create(run=run, project=project, key=key, digest=digest)
    run.refresh_from_db()
    Run.objects.filter(pk=run.pk).update(started_at=run.created_at)
    run.refresh_from_db()
    announce(run)
    return run


def _known(project: Project, key: str, digest: bytes) -> Run | None:
    """The run that this key has made. Raises Invalid when the key is none, or came with another body."""
    if not 1 <= len(key) <= KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise _bad_key(f"A key has 1 to {KEY_LENGTH} printable ASCII characters, not {key[:60]!r}.")
    found = Outside.objects.select_related("run__project").filter(project=project, key=key).first()
    if found is None:
        return None
    if bytes(found.digest or b"") != digest:
        raise _bad_key(f"The key {key!r} has been used for another run: a key stands for one request.")
    return found.run


def _bad_key(message: str) -> Invalid:
    return Invalid([{"loc": ["Idempotency-Key"], "msg": message}])


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()


@transaction.atomic
def heard(run: Run) -> Run:
    """Notes a sign of life of the program behind an external run; one that was lost goes on.

    A run that has ended otherwise stays as it is: its status tells the program to stop. Raises WrongState for a run of
    another kind.
    """
    _require_external(run)
    Outside.objects.update_or_create(run=run, defaults={"heard_at": Now(), "project_id": run.project_id})
    change(run, {Status.LOST}, status=Status.RUNNING, ended_at=None, error_type="", error_message="")
    return run


@transaction.atomic
def finish_external(run: Run, status: str, *, result: dict[str, Any] | None = None, error_message: str = "") -> Run:
    """Ends a run whose points come from outside. Raises Invalid for a state that is not final, and WrongState."""
    if status not in FINAL:
        raise Invalid.field("status", f"status must be one of {', '.join(sorted(FINAL))}, not {status!r}.")
    require(run.kind == EXTERNAL, run, "ended from outside")
    error = {"error_type": "ExternalError" if error_message else "", "error_message": plain.text(error_message)}
    ending = {"status": status, "result": plain.json(result), "ended_at": Now(), **error}
    require(change(run, OPEN, **ending), run, "ended")
    return run


def lose_silent(silent_s: float) -> list[Run]:
    """External runs whose program has sent heartbeats, and none for so long, are lost. Returns them."""
    silent = Outside.objects.filter(heard_at__lt=Now() - timedelta(seconds=silent_s), run__status=Status.RUNNING)
    runs = [outside.run for outside in silent.select_related("run__project")]
    return [run for run in runs if _lose(run, silent_s)]


@transaction.atomic
def _lose(run: Run, silent_s: float) -> bool:
    """Looks again under a lock: it may have spoken just now, and another reaper may be at it."""
    still = Outside.objects.select_for_update(skip_locked=True).filter(
        run=run, heard_at__lt=Now() - timedelta(seconds=silent_s)
    )
    error = {"error_type": "LostError", "error_message": SILENT.format(silent_s)}
    return still.exists() and change(run, {Status.RUNNING}, status=Status.LOST, ended_at=Now(), **error)


def add_file(run: Run, path: str, pieces: Iterable[bytes]) -> Artifact:
    """A file that the program behind an external run leaves; one that is at the path already is replaced.

    Raises Invalid for a path that would lead out of the run's folder, WrongState, and TooLarge.
    """
    _require_external(run)
    if run.status not in OPEN:
        raise WrongState(f"Run {run.pk} has ended ({run.status}): no file can be added.")
    try:
        safe = paths.confined(path)
    except PathRefused as error:
        raise Invalid([{"loc": ["path"], "msg": str(error)}]) from None
    values = {"type": Artifact.Type.FILE, "blob": blobs.store_stream(pieces), "created_at": Now()}
    with transaction.atomic():
        artifact, _ = Artifact.objects.update_or_create(run=run, path=safe, defaults=values)
        news.publish_on_commit(run.pk, "artifacts", {})
    artifact.refresh_from_db()
    return artifact


def _require_external(run: Run) -> None:
    if run.kind != EXTERNAL:
        raise WrongState(f"Run {run.pk} is a {run.kind} run: only runs of kind {EXTERNAL} are fed from outside.")
