"""The spec of a job that somebody is writing: in fields or as JSON, with what is wrong with it so far."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict

from gpu_jobs import registry
from gpu_jobs import spec as specs
from webapp.accounts.errors import FieldError
from webapp.accounts.models import Project
from webapp.http import PageRequest
from webapp.pages.forms.values import read
from webapp.runs import actions
from webapp.runs.errors import Invalid, TooLarge

NOT_JSON = "This is not JSON: {error}."


@dataclass
class Draft:
    """The kind, its spec so far, and what is wrong with it."""

    kind: str
    values: dict[str, Any]
    text: str = ""  # the spec as JSON, when it is written by hand
    is_text: bool = False
    errors: list[FieldError] = field(default_factory=list)


def submitted(data: QueryDict) -> Draft:
    """What the fields, or the JSON, of a submitted form say."""
    kinds = registry.kinds()
    kind = data.get("kind", "")
    kind = kind if kind in kinds else next(iter(kinds))
    if data.get("mode") != "json":
        return Draft(kind, read(specs.schema(kind), data))
    draft = Draft(kind, {}, data.get("spec", ""), is_text=True)
    try:
        value = json.loads(draft.text, parse_constant=_no_constant)
        draft.values = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            draft.errors = [{"loc": ["json"], "msg": "A spec is a JSON object: { ... }."}]
    except (ValueError, RecursionError) as error:
        draft.errors = [{"loc": ["json"], "msg": NOT_JSON.format(error=error)}]
    if draft.values.get("kind") in kinds:
        draft.kind = draft.values["kind"]
    return draft


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number that a spec can hold")


def turn(draft: Draft, *, to_text: bool) -> None:
    """From fields to JSON or back; text that is not JSON stays where it is."""
    if to_text and not draft.is_text:
        draft.text, draft.is_text = json.dumps(draft.values, indent=2, ensure_ascii=False), True
    elif not to_text and not draft.errors:
        draft.is_text = False


def upload(request: PageRequest, project: Project, draft: Draft) -> None:
    """Keeps the file that came with the form and names it in the spec, at the part that takes an upload."""
    file, part = request.FILES["file"], _part(draft.values)
    if not isinstance(file, UploadedFile):
        return
    try:
        kept = actions.add_upload(project=project, user=request.user, name=file.name or "", chunks=file.chunks())
    except Invalid as error:
        draft.errors += [{"loc": [part, "upload"], "msg": item["msg"]} for item in error.errors]
    except TooLarge as error:
        draft.errors.append({"loc": [part, "upload"], "msg": str(error)})
    else:
        draft.values[part] = {**draft.values.get(part, {}), "source": "upload", "upload": kept.pk}


def _part(values: dict[str, Any]) -> str:
    chosen = (name for name, value in values.items() if isinstance(value, dict) and value.get("source") == "upload")
    return next(chosen, "data")
