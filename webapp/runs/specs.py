"""A job spec as people send it: checked with sentences that name the field and the value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gpu_jobs import cost
from gpu_jobs import spec as specs
from gpu_jobs.errors import JobError
from gpu_jobs.spec import JobSpec
from webapp.runs.errors import FieldError, Invalid
from webapp.runs.merging import CHOICES

LONGEST_SHOWN = 100


def checked(spec: Mapping[str, Any]) -> JobSpec:
    """The parsed spec. Raises Invalid with every broken rule, each `loc` being the path within the spec."""
    try:
        return specs.parse(spec)
    except ValidationError as error:
        raise Invalid(errors_of(error, spec)) from None


def planned(spec: JobSpec, facts: Mapping[str, Mapping[str, Any]]) -> cost.Plan:
    """What it will need. `facts` are those of the runs it builds on, as "run:1".

    Raises Invalid where its method doesn't fit its model, and TypeError for a kind that has no plan.
    """
    try:
        return cost.plan(spec, {name: dict(found) for name, found in facts.items()})
    except JobError as error:
        loc: list[str | int] = [*(error.field or "method").split(".")]
        raise Invalid([{"loc": loc, "msg": str(error)}]) from None


def errors_of(error: ValidationError, spec: Mapping[str, Any]) -> list[FieldError]:
    """pydantic's errors, their paths without the names of the shapes that it chose between."""
    details = error.errors(include_url=False)
    return [{"loc": [*_path(detail["loc"], spec), *_choice(detail)], "msg": sentence(detail)} for detail in details]


def sentence(error: ErrorDetails) -> str:
    """The rule and, where it is short enough to show, the value that broke it."""
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "This field is required."
        case "extra_forbidden":
            return "There is no such field."
        case "union_tag_not_found":
            return "This field is required: it says which fields there are."
        case "union_tag_invalid":
            return f"Must be one of {context['expected_tags']}, not {_shown(context['tag'])}."
        case "dict_type" | "model_type" | "model_attributes_type":
            return "Must be an object with fields, { ... }."
    message = error["msg"].removeprefix("Value error, ").rstrip(".")
    value = error["input"]
    is_plain = isinstance(value, str | int | float | bool)
    return f"{message}, not {_shown(value)}." if is_plain and "Value error" not in error["msg"] else f"{message}."


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _choice(error: ErrorDetails) -> list[str | int]:
    """The field that chooses a shape, when it is what is wrong."""
    if error["type"] not in ("union_tag_invalid", "union_tag_not_found"):
        return []
    return [str(error.get("ctx", {})["discriminator"]).strip("'")]


def _path(loc: Sequence[str | int], spec: Mapping[str, Any]) -> list[str | int]:
    """pydantic puts the chosen shape into the path (spec, *pretrain*, model, *config*, layers): it is no field."""
    path: list[str | int] = []
    value: Any = spec
    for step in loc:
        if isinstance(value, Mapping) and step not in value and step in [value.get(choice) for choice in CHOICES]:
            continue
        if isinstance(value, str) and step == value:  # a choice told by its name alone: {"stopper": "asha"}
            continue
        path.append(step)
        value = _inside(value, step)
    return path


def _inside(value: Any, step: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(step)
    return value[step] if isinstance(value, list) and isinstance(step, int) and step < len(value) else None
