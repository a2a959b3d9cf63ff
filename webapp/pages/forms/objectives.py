"""The objectives of a sweep in a form: up to three rows of metric, goal and statistic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from django.http import QueryDict

from webapp.accounts.errors import FieldError
from webapp.sweeps.definition import Objective

MOST = 3
GOALS: Sequence[str] = get_args(Objective.model_fields["goal"].annotation)
STATISTICS: Sequence[str] = get_args(Objective.model_fields["statistic"].annotation)
USUAL = ("eval/loss", "eval/accuracy", "eval/perplexity", "train/loss")


@dataclass
class ObjectiveRow:
    metric: str = ""
    goal: str = "minimize"
    statistic: str = "last"
    errors: list[str] = field(default_factory=list)

    @property
    def as_json(self) -> dict[str, str]:
        return {"metric": self.metric, "goal": self.goal, "statistic": self.statistic}


def submitted(data: QueryDict) -> list[ObjectiveRow]:
    """At least one row; those without a metric are kept, for the check to name."""
    numbers = [number for number in range(MOST) if f"objective-{number}-metric" in data]
    return [_row(data, f"objective-{number}-") for number in numbers] or [ObjectiveRow(USUAL[0])]


def rows_of(objective: Any) -> list[ObjectiveRow]:
    """From the JSON of a definition: a list, or a single one."""
    given = objective if isinstance(objective, list) else [objective]
    found = [_of(item) for item in given[:MOST] if isinstance(item, Mapping)]
    return found or [ObjectiveRow(USUAL[0])]


def place(rows: Sequence[ObjectiveRow], error: FieldError) -> bool:
    """Puts an error with `loc` (objective, place, ...) at its row; False when it is of none."""
    steps = list(error["loc"])
    if not steps or steps[0] != "objective":
        return False
    number = int(steps[1]) if len(steps) > 1 and str(steps[1]).isdecimal() else 0
    rows[min(number, len(rows) - 1)].errors.append(error["msg"])
    return True


def _row(data: QueryDict, prefix: str) -> ObjectiveRow:
    metric, goal, statistic = (data.get(prefix + name, "").strip() for name in ("metric", "goal", "statistic"))
    return ObjectiveRow(metric, goal, statistic)


def _of(item: Mapping[str, Any]) -> ObjectiveRow:
    usual = ObjectiveRow()
    return ObjectiveRow(
        str(item.get("metric", "")), str(item.get("goal", usual.goal)), str(item.get("statistic", usual.statistic))
    )


def without(rows: Iterable[ObjectiveRow], number: int) -> list[ObjectiveRow]:
    left = [row for place_, row in enumerate(rows) if place_ != number]
    return left or [ObjectiveRow(USUAL[0])]
