"""What a sweep will try and need, before it begins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from webapp.accounts.errors import FieldError, Invalid
from webapp.accounts.models import Project, User
from webapp.pages.forms import dimensions
from webapp.pages.sweeps.draft import SweepDraft
from webapp.runs import plain
from webapp.sweeps import budget, checking
from webapp.sweeps.definition import Choices, Definition, Range
from webapp.sweeps.errors import Exhausted
from webapp.sweeps.search.asking import ask
from webapp.sweeps.specs import spec_of

MANY = 1_000_000_000


class Plan(NamedTuple):
    """`points` is how many different ones the space has, None where it has no end; `example` is the first spec."""

    dimensions: int
    points: int | None
    trials: int
    runs: int
    forecast: budget.Forecast
    params: dict[str, Any]
    example: str


def plan(draft: SweepDraft, user: User, project: Project) -> dict[str, Any]:
    """The context of the plan's panel: a Plan, or what is still to be set right."""
    if not dimensions.check(draft.rows) or draft.base.errors:
        return {"errors": [*draft.base.errors, *_errors_of(draft)]}
    try:
        checked = checking.checked(plain.json(draft.body), user, project)
        return {"plan": _plan(checked)}
    except Invalid as error:
        return {"errors": error.errors}
    except Exhausted as error:
        return {"errors": [{"loc": ["search"], "msg": str(error)}]}


def _plan(checked: Definition) -> Plan:
    points = len(checking.listed(checked)) or size_of(checked.search.space)
    trials = min(checked.trials, points) if points is not None else checked.trials
    params = ask(checked.search, checked.objective, [])[0].params
    example = spec_of(checked, params, checked.seeds.first)
    return Plan(
        dimensions=len(checked.search.space),
        points=points,
        trials=trials,
        runs=trials * checked.seeds.tune + checked.test_runs,
        forecast=budget.forecast_of(checked),
        params=params,
        example=json.dumps(example, indent=2, ensure_ascii=False),
    )


def size_of(space: Mapping[str, Choices | Range]) -> int | None:
    """How many points a space has when conditions are left aside; None where a dimension has no end of values."""
    size = 1
    for dimension in space.values():
        count = _count(dimension)
        if count is None or size > MANY:
            return None
        size *= count
    return size


def _count(dimension: Choices | Range) -> int | None:
    if isinstance(dimension, Choices):
        return len(dimension.choices)
    if dimension.step is None:
        return 1 if dimension.low == dimension.high else None
    return int((dimension.high - dimension.low) / dimension.step + 1e-9) + 1


def _errors_of(draft: SweepDraft) -> list[FieldError]:
    return [
        {"loc": ["search", "space", row.path or "?"], "msg": sentence}
        for row in draft.rows
        for sentence in row.all_errors
    ]
