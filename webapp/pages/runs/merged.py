"""What became of experts that were merged: scores by task, what the merge keeps of them, and how large they are."""

from __future__ import annotations

from typing import Any, NamedTuple

from webapp.charts import merges
from webapp.pages.runs.describe import number_at
from webapp.pages.runs.facts import NOTHING
from webapp.pages.templatetags import hone as text
from webapp.runs.models import Run

MOST_LAYERS = 200


class Row(NamedTuple):
    """A model's scores, task by task, each with how near it comes to the task's expert."""

    model: str
    scores: list[tuple[str, str]]


class Delta(NamedTuple):
    """The change of an expert from the base."""

    expert: str
    mean: str
    deviation: str
    range: str
    norm: str
    large: str


class Merged(NamedTuple):
    metric: str
    tasks: list[str]
    rows: list[Row]
    deltas: list[Delta]
    conflicts: str
    layers: list[tuple[str, str]]
    coefficients: list[tuple[str, str]]
    tried: int


def merged_of(run: Run) -> Merged | None:
    """From the result of a run of kind merge; None of any other."""
    result = run.result or {}
    if run.kind != "merge" or not isinstance(result.get("deltas"), list):
        return None
    heat, conflicts = merges.data(run), result.get("conflicts") or {}
    layers = sorted((conflicts.get("layers") or {}).items(), key=lambda item: -item[1])[:MOST_LAYERS]
    found = result.get("coefficients") or {}
    return Merged(
        heat.metric,
        heat.tasks,
        [_row(name, *told) for name, *told in zip(heat.models, heat.scores, heat.kept, strict=True)],
        [_delta(each) for each in result["deltas"]],
        text.percent(conflicts["share"]) if number_at(conflicts, "share") is not None else NOTHING,
        [(name, text.percent(share)) for name, share in layers],
        [(name, str(value)) for name, value in (found.get("chosen") or {}).items()],
        len(found.get("search") or []),
    )


def _row(name: str, scores: list[float | None], kept: list[float | None]) -> Row:
    cells = zip(scores, kept, strict=True)
    return Row(
        name,
        [(NOTHING if s is None else text.metric(s), "" if k is None else text.percent(k)) for s, k in cells],
    )


def _delta(told: dict[str, Any]) -> Delta:
    def said(name: str) -> str:
        value = number_at(told, name)
        return NOTHING if value is None else f"{value:.3g}"

    variance, large = number_at(told, "variance"), number_at(told, "share_beyond_0.005")
    return Delta(
        str(told.get("expert", "")),
        said("mean"),
        NOTHING if variance is None else f"{variance**0.5:.3g}",
        f"{said('min')} to {said('max')}",
        said("norm"),
        NOTHING if large is None else text.percent(large),
    )
