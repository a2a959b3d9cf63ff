"""How runs come into being, submitted or cloned, and the data files they train on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from gpu_jobs.shrinking import Shrinking
from gpu_jobs.spec import JobSpec, references
from webapp.accounts.errors import FieldError, Invalid, below
from webapp.accounts.models import Project, User
from webapp.runs import blobs, fields, paths, preparing, specs, tickets
from webapp.runs.actions.inputs import resolve
from webapp.runs.actions.outside import EXTERNAL
from webapp.runs.actions.transitions import announce
from webapp.runs.errors import PathRefused
from webapp.runs.merging import merged
from webapp.runs.models import Input, Run, Upload
from webapp.runs.states import FINAL


def submit(
    *,
    project: Project,
    spec: dict[str, Any],
    user: User | None,
    name: str = "",
    tags: Iterable[str] = (),
    priority: int = 0,
    queue: str = "default",
    baseline: Run | int | None = None,
    cloned_from: Run | None = None,
    share: str = "",
) -> Run:
    """A queued run and a ticket for it. Raises Invalid with every broken rule; then nothing is written.

    The row holds the spec as validated, defaults filled in, so that it means the same when defaults change; a scaling
    fit's query is looked up (see preparing.py). `share`: runs of one share (a sweep) take turns with the project's
    other runs.
    """
    parsed = preparing.prepared(_parsed(spec), project, cloned_from)
    with transaction.atomic():
        errors: list[FieldError] = []
        inputs = [resolve(errors, spec, reference, user, project) for reference in references(parsed)]
        checked = parsed.model_dump(mode="json")
        columns = fields.checked(errors, name=name or _default_name(checked), tags=tags, priority=priority, queue=queue)
        columns["baseline"] = fields.baseline(errors, baseline, project)
        errors += _misfits(parsed, inputs)
        if errors:
            raise Invalid(errors)
        columns |= {"created_by": user, "cloned_from": cloned_from, "share": share}
        run = Run(project=project, kind=checked["kind"], spec=checked, **columns)
        run.gpus, run.steps = checked.get("gpus") or 1, checked.get("steps")
        _insert(run, inputs)
        tickets.send_on_commit(run.queue_id)
    return run


def clone(run: Run, user: User | None, changes: dict[str, Any] | None = None, *, name: str = "") -> Run:
    """A new queued run like `run`, its spec changed by a merge (see merging.py). Raises Invalid."""
    if run.kind == EXTERNAL:
        raise Invalid.field("kind", f"Run {run.id} is external: without its training code there is nothing to clone.")
    return submit(
        project=run.project,
        spec=merged(run.spec, changes or {}),
        user=user,
        name=name or run.name,
        tags=run.tags,
        priority=run.priority,
        queue=run.queue_id,
        baseline=run.baseline if run.baseline and run.baseline.deleted_at is None else None,
        cloned_from=run,
    )


def add_upload(*, project: Project, user: User | None, name: str, chunks: Iterable[bytes]) -> Upload:
    """Stores a data file; a spec names it as "upload:<id>". Raises Invalid and TooLarge."""
    try:
        safe_name = paths.file_name(name)
    except PathRefused as error:
        raise Invalid.field("name", str(error)) from None
    if len(safe_name) > 200:
        raise Invalid.field("name", f"name must have at most 200 characters, not {len(safe_name)}.")
    blob = blobs.store_stream(chunks)
    return Upload.objects.create(project=project, name=safe_name, blob=blob, created_by=user)


def delete_upload(upload: Upload) -> None:
    """Raises Invalid while a run that is not over needs it."""
    needed = Input.objects.filter(upload=upload, run__deleted_at=None).exclude(run__status__in=FINAL).first()
    if needed:
        raise Invalid.field(
            "upload", f"Run {needed.run_id} still needs upload {upload.id}; cancel it or let it end first."
        )
    upload.delete()


def _parsed(spec: dict[str, Any]) -> JobSpec:
    with below("spec"):
        return specs.checked(spec)


def _misfits(spec: JobSpec, inputs: Iterable[Input]) -> list[FieldError]:
    """Why a model can't be made smaller as asked, as far as it is known before a worker has it."""
    if not isinstance(spec, Shrinking):
        return []
    runs = {item.name: item.source.facts for item in inputs if item.source is not None}
    try:
        specs.planned(spec, {name: facts for name, facts in runs.items() if facts.get("model", {}).get("config")})
    except Invalid as error:
        return [{"loc": ["spec", *item["loc"]], "msg": item["msg"]} for item in error.errors]
    return []


def _default_name(spec: dict[str, Any]) -> str:
    """ "finetune lora", "pretrain full", ...: enough to tell rows apart until somebody names it."""
    method = spec.get("method")
    return " ".join([spec["kind"], *([method["name"]] if isinstance(method, dict) and "name" in method else [])])


def _insert(run: Run, inputs: list[Input]) -> None:
    run.save(force_insert=True)
    for item in inputs:
        item.run = run
    Input.objects.bulk_create(inputs)
    run.refresh_from_db()
    announce(run)
