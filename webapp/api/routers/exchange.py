"""Sweeps from and to other tools: Optuna studies, W&B sweep configurations, CSV and JSON lines."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from django.db import transaction
from django.http import HttpRequest, StreamingHttpResponse
from ninja import File, Form, Query, Router, Status
from ninja.files import UploadedFile

from webapp.accounts.models import Role
from webapp.api.access import project_or_404, sweep_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Invalid
from webapp.api.openapi import file_reply
from webapp.api.schemas.exchange import ImportInput, ImportReview
from webapp.api.schemas.sweeps import SweepOutput
from webapp.api.streaming import attachment, gathered, in_pieces
from webapp.api.sweep_serializers import sweep_output
from webapp.api.wire import refuse_non_finite, refuse_unstorable
from webapp.runs.merging import merged
from webapp.sweeps import actions, flat
from webapp.sweeps.actions.transitions import tell
from webapp.sweeps.models import Sweep

router = Router()
PLACE = ("name", "tags", "priority", "queue")
LONGEST_YAML = 1 << 20  # bytes
CONTENT_TYPES = {
    "optuna": ("db", "application/vnd.sqlite3"),
    "csv": ("csv", "text/csv; charset=utf-8"),
    "jsonl": ("jsonl", "application/jsonl; charset=utf-8"),
}
FILE = file_reply("An Optuna storage, or one row a run.", "application/vnd.sqlite3", "text/csv", "application/jsonl")


@router.post("/import", response={200: ImportReview, 201: SweepOutput})
def import_sweep(
    request: HttpRequest, form: Form[ImportInput], file: File[UploadedFile]
) -> Status[SweepOutput] | Status[ImportReview]:
    """An Optuna storage (SQLite or journal), whose trials come along, or a W&B sweep configuration (YAML). For editors.

    With `review` nothing is created: the answer is a body for POST /sweeps. What has no counterpart here is told in
    its `notes`, and among the events of a sweep that is created.
    """
    user = user_of(request)
    project = project_or_404(user, form.project, Role.EDITOR)
    _refuse_others(request)
    body = _read(form, file)
    observations, notes = body.pop("observations", []), body.pop("notes", [])
    body |= _object("changes", form.changes)
    if form.spec:
        body["spec"] = merged(_object("spec", form.spec), body.get("spec") or {})
    if form.name:
        body["name"] = form.name
    refuse_non_finite(body)
    if form.review:
        body = {"project": project.slug, **body}
        return Status(200, ImportReview(body=body, observations=len(observations), notes=notes))
    place = {"project": project, "user": user, **{name: body.pop(name) for name in PLACE if name in body}}
    return Status(201, sweep_output(request, _create(body, place, observations, notes)))


@router.get("/{int:sweep_id}/export", response={200: None}, openapi_extra=FILE)
def export_sweep(
    request: HttpRequest,
    sweep_id: int,
    kind: Annotated[Literal["optuna", "csv", "jsonl"], Query(alias="format")] = "optuna",
) -> StreamingHttpResponse:
    """An SQLite file that Optuna opens as a storage, or a table with one row a run."""
    sweep = sweep_or_404(user_of(request), sweep_id)
    pieces = _study(sweep) if kind == "optuna" else gathered(flat.export(sweep, kind))
    ending, content_type = CONTENT_TYPES[kind]
    return attachment(request, pieces, f"sweep-{sweep.pk}.{ending}", content_type=content_type)


@transaction.atomic
def _create(definition: dict[str, Any], place: dict[str, Any], observations: list[Any], notes: list[str]) -> Sweep:
    """All of the study or nothing, and its trials before the sweep asks for its first point."""
    from webapp.sweeps.exchange.importing import import_observations

    sweep = actions.create(definition=definition, **place)
    import_observations(sweep, observations)
    for note in notes:
        tell(sweep, note, place["user"])
    return sweep


def _refuse_others(request: HttpRequest) -> None:
    if others := sorted(set(request.POST) - set(ImportInput.model_fields)):
        raise Invalid([{"loc": [name], "msg": "There is no such field."} for name in others])


def _read(form: ImportInput, file: UploadedFile) -> dict[str, Any]:
    from webapp.sweeps.exchange import optuna_study, wandb_yaml

    names = _object("names", form.names)
    if form.format == "wandb":
        _refuse_for_wandb(form)
        return wandb_yaml.read(_text(file))
    with _on_disk(file) as path:
        return optuna_study.read(path, form.study or None, names)


def _refuse_for_wandb(form: ImportInput) -> None:
    for name in ("names", "study"):
        if getattr(form, name):
            raise Invalid([{"loc": [name], "msg": f"{name} is for Optuna's files; leave it out, or change the file."}])


def _text(file: UploadedFile) -> str:
    if (file.size or 0) > LONGEST_YAML:
        msg = f"A W&B configuration has at most {LONGEST_YAML:,} bytes, not {file.size:,}."
        raise Invalid([{"loc": ["file"], "msg": msg}])
    try:
        return str(file.read(), "utf-8")
    except UnicodeDecodeError:
        raise Invalid([{"loc": ["file"], "msg": "The file must be text in UTF-8."}]) from None


@contextmanager
def _on_disk(file: UploadedFile) -> Iterator[Path]:
    """SQLite reads files only."""
    with tempfile.TemporaryDirectory(prefix="hone-") as folder:
        path = Path(folder) / "study.db"
        with path.open("wb") as copy:
            for piece in file.chunks():
                copy.write(piece)
        yield path


def _study(sweep: Sweep) -> Iterator[bytes]:
    from webapp.sweeps.exchange import optuna_study

    with tempfile.TemporaryDirectory(prefix="hone-") as folder:
        path = Path(folder) / "study.db"
        optuna_study.write(sweep, path)
        yield from in_pieces(path.open("rb"))


def _object(field: str, text: str) -> dict[str, Any]:
    """A field of the form that holds a JSON object; {} when it is empty."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise Invalid([{"loc": [field], "msg": f"{field} must be a JSON object."}]) from None
    if not isinstance(value, dict):
        raise Invalid([{"loc": [field], "msg": f"{field} must be a JSON object, not {type(value).__name__}."}])
    refuse_unstorable(value, (field,))
    return value
