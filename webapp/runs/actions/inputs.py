"""Resolves what a spec names of ours ("run:12", "upload:3") for the person who submits it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from webapp.accounts.errors import FieldError
from webapp.accounts.models import Project, User
from webapp.accounts.roles import projects_of
from webapp.runs.models import Artifact, Input, Run, Upload
from webapp.runs.states import FINAL

Loc = list[str | int]


def resolve(
    errors: list[FieldError], spec: dict[str, Any], reference: str, user: User | None, project: Project | None
) -> Input:
    """The unsaved row of a reference; what is wrong with it is appended to `errors`.

    Without a user (the system submits) the reference must lie in the run's own project. What the person may not read is
    told like what does not exist, so that ids can't be probed.
    """
    kind, _, number = reference.partition(":")
    loc: Loc = ["spec", *(_place(spec, kind, int(number)) or [reference])]
    readable = projects_of(user) if user else Project.objects.filter(pk__in=[project.pk] if project else [])
    if kind == "run":
        return Input(name=reference, source=_run(errors, loc, int(number), readable))
    return Input(name=reference, upload=_upload(errors, loc, int(number), readable))


def _run(errors: list[FieldError], loc: Loc, run_id: int, readable: QuerySet[Project]) -> Run | None:
    run = Run.objects.filter(pk=run_id, deleted_at=None, project__in=readable).first()
    if run is None:
        errors.append({"loc": loc, "msg": f"There is no run {run_id} that you can read."})
    elif run.kind == "external":
        errors.append({"loc": loc, "msg": f"Run {run_id} is external and holds no model to start from."})
    elif run.status in FINAL and not run.artifacts.filter(type=Artifact.Type.MODEL).exists():
        status = run.get_status_display().lower()
        errors.append({"loc": loc, "msg": f"Run {run_id} ended as {status} and holds no model to start from."})
    return run


def _upload(errors: list[FieldError], loc: Loc, upload_id: int, readable: QuerySet[Project]) -> Upload | None:
    upload = Upload.objects.filter(pk=upload_id, project__in=readable).first()
    if upload is None:
        errors.append({"loc": loc, "msg": f"There is no upload {upload_id} that you can read."})
    return upload


def _place(value: Any, kind: str, number: int) -> Loc | None:
    """Where in a spec stands `{"source": kind, kind: number}`, for the form to mark the field."""
    if isinstance(value, dict) and value.get("source") == kind and value.get(kind) == number:
        return [kind]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if (rest := _place(item, kind, number)) is not None:
            return [key, *rest]
    return None
