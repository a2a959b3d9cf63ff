"""A fork: a new run that goes on from where another one is, with its weights, optimizer state and generators.

Only what the checkpoint depends on must stay: model, data, method, optimizer and seed. Learning rate, decay, schedule,
steps and the like are the new spec's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from gpu_jobs import cost
from gpu_jobs.spec import JobSpec, Training
from webapp.accounts.errors import FieldError, Invalid
from webapp.accounts.models import User
from webapp.runs import queries, specs
from webapp.runs.actions.outside import EXTERNAL
from webapp.runs.actions.submission import submit
from webapp.runs.models import Artifact, Blob, LogLine, Run

FIXED = ("kind", "model", "data", "task", "tokenizer", "sequence_length", "seed")  # seed: frozen weights come from it
NAMED = ("method", "optimizer")  # of these another one has other weights or another state


def fork(
    source: Run,
    *,
    user: User | None,
    spec: dict[str, Any],
    name: str = "",
    tags: Iterable[str] = (),
    priority: int = 0,
    queue: str = "default",
    share: str = "",
) -> Run:
    """A queued run that goes on from the last checkpoint of `source`, whose files it shares: no byte is copied.

    Its series begin after that step, and its log says where it comes from. `source` may be in any state. Raises Invalid
    when it has no checkpoint, and for a spec under which its checkpoint can't go on; then nothing is written.
    """
    with transaction.atomic():
        files = _checkpoint(source)
        about: dict[str, Any] = {"tags": tags, "priority": priority, "queue": queue, "share": share}
        run = submit(
            project=source.project, spec=spec, user=user, name=name or source.name, cloned_from=source, **about
        )
        step = files[0].step or 0
        if errors := list(_misfits(source, run, step)):
            raise Invalid(errors)
        Artifact.objects.bulk_create(_shared(run, file) for file in files)
        Run.objects.filter(pk=run.pk).update(step=step)
        message = f"Goes on from step {step} of run {source.pk}."
        LogLine.objects.create(run=run, at=timezone.now(), level="info", message=message)
        run.refresh_from_db()
    return run


def _checkpoint(source: Run) -> list[Artifact]:
    """Its files, touched so that no collector takes their bytes while the source drops them. Raises Invalid."""
    if source.kind == EXTERNAL:
        raise Invalid.field("source", f"Run {source.pk} is external: without its training code nothing can go on.")
    point = queries.resume_point(source) if source.deleted_at is None else None
    files = queries.folder(source, point[0]) if point else []
    hashes = {file.blob_id for file in files}
    if not files or Blob.objects.filter(pk__in=hashes).update(touched_at=Now()) < len(hashes):
        way_out = "Let it train to its next checkpoint, or clone it with checkpoint_every or checkpoint_at_end"
        raise Invalid.field("source", f"Run {source.pk} has no checkpoint to go on from. {way_out}.")
    return files


def _shared(run: Run, file: Artifact) -> Artifact:
    return Artifact(
        run=run, path=file.path, folder=file.folder, type=file.type, step=file.step, blob_id=file.blob_id
    )  # fmt: skip


def _misfits(source: Run, run: Run, step: int) -> Iterator[FieldError]:
    """What of the run's spec does not fit the source's checkpoint. Shapes that only the worker sees fail there."""
    old, new = specs.checked(source.spec), specs.checked(run.spec)
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for field in FIXED:
        if before.get(field) != after.get(field):
            msg = (
                f"{field} must stay as in run {source.pk}, whose checkpoint depends on it: {_told(before.get(field))}."
            )
            yield {"loc": ["spec", field], "msg": msg}
    for field in NAMED:
        kept, wanted = ((told.get(field) or {}).get("name") for told in (before, after))
        if kept != wanted:
            msg = f"{field} must stay {kept!r} as in run {source.pk}: its checkpoint holds no other's state."
            yield {"loc": ["spec", field, "name"], "msg": msg}
    counts = [_trained(spec, source) for spec in (old, new)]
    if counts[0] != counts[1]:
        msg = f"method must train weights of the same shapes as in run {source.pk}: {counts[0]:,}, not {counts[1]:,}."
        yield {"loc": ["spec", "method"], "msg": msg}
    if run.steps is not None and run.steps <= step:
        yield {"loc": ["spec", "steps"], "msg": f"steps must exceed the checkpoint's {step}, not be {run.steps}."}


def _told(value: Any) -> str:
    return ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else repr(value)


def _trained(spec: JobSpec, source: Run) -> int:
    """Weights that are trained; 0 where the source has not told its model's config."""
    config = source.facts.get("model", {}).get("config")
    if not config or not isinstance(spec, Training):
        return 0
    return cost.plan_for(spec, config, bf16=False).parameters["trainable"] or 0
