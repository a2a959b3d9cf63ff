"""d90: the smallest dimension that reaches 90 % of the full score.

    d90 = min d with (s(d) - c) >= 0.9 (s(full) - c)

s is the mean over seeds, c the score of guessing (Li et al. 2018; Aghajanyan et al. 2020). A log grid first; `next`
then names the dimensions that halve what is left between the largest that missed and the smallest that reached, so
adding them as trials bisects. When no dimension reaches it, d90 is not found: it is not the largest one tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from webapp.accounts.errors import Invalid
from webapp.sweeps import planning
from webapp.sweeps.measures import outcomes, reading
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/1804.08838"
FULL = "full"
ROUNDING = 1e-9  # of shares: .72 of .8 is .9, whatever floats make of it


class Knobs(Base):
    name: Literal["d90"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    goal: Literal["minimize", "maximize"] = "minimize"
    method: planning.MethodName = Field("lora", description="The adapter whose size is searched.")
    knob: planning.MethodName = Field("rank", description="Its knob that is the dimension.")
    low: int = Field(1, ge=1, description="Smallest dimension.")
    high: int = Field(64, ge=2, le=100_000_000, description="Largest dimension.")
    points: int = Field(4, ge=2, le=50, description="Dimensions of the first grid.")
    share: float = Field(0.9, gt=0, lt=1, description="Of the full score.")
    chance: float | None = Field(None, description="The score of guessing. Empty: 0 for a score, for a loss its first.")
    seeds: int = Field(3, ge=1, le=100, description="Seeds of every point.")

    @field_validator("high")
    @classmethod
    def _rises(cls, high: int, info: Any) -> int:
        if high <= info.data.get("low", 0):
            raise ValueError(f"high must exceed low: {high} is not above {info.data['low']}")
        return high


class Point(BaseModel):
    dimension: int
    trainable: int | None
    score: float | None
    share: float | None = Field(description="Of the full score, 0 being chance.")
    seeds: int
    reached: bool


class Result(outcomes.Result):
    found: int | None = Field(None, description="d90; none: not found.")
    trainable: int | None = None
    target: float | None = Field(None, description="The score that had to be reached.")
    full: float | None = None
    chance: float | None = None
    next: list[int] = Field([], description="Dimensions to try next: bisection in their logarithm.")
    points: list[Point] = []


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    planning.need_methods("method", [knobs.method], "adapters")
    from gpu_jobs import registry as jobs

    if knobs.knob not in jobs.methods("adapters")[knobs.method].knobs.model_fields:
        raise Invalid.field("knob", f"The method {knobs.method!r} has no knob {knobs.knob!r}.")
    spec = planning.changed({**base, "kind": "finetune"}, {"method": {"name": knobs.method}})
    space = {f"method.{knobs.knob}": planning.whole_grid(knobs.low, knobs.high, knobs.points)}
    searched = planning.grid_of(spec, space, knobs.metric, knobs.goal, seeds=knobs.seeds)
    whole = planning.changed(spec, {"method": {"name": FULL}})
    one = planning.definition(whole, {"name": "grid"}, {}, knobs.metric, knobs.goal, trials=1, seeds=knobs.seeds)
    return [
        planning.Planned(f"Dimensions of {knobs.method}", searched, {"part": "search"}),
        planning.Planned("All weights", one, {"part": FULL}),
    ]


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen, tuned = outcomes.outcomes(rows), reading.tuning(rows)
    whole = [row for row in tuned if reading.label(labels, row, "part") == FULL]
    searched = [
        row for row in tuned if reading.label(labels, row, "part") != FULL and _dimension(knobs, row) is not None
    ]
    full, chance = reading.mean(reading.scores(whole, knobs.metric)), _chance(knobs, tuned)
    dimensions = reading.grouped(searched, lambda row: _dimension(knobs, row) or 0)
    points = [_point(knobs, d, of, full, chance) for d, of in sorted(dimensions.items())]
    found = next((point for point in points if point.reached), None)
    missing = (
        [] if full is not None else ["The run of all weights has no score yet, so nothing can be compared with it."]
    )
    return Result(
        outcomes=seen,
        notes=[*outcomes.told(seen), *(missing if seen.trials else [])],
        found=found.dimension if found else None,
        trainable=found.trainable if found else None,
        target=None if full is None or chance is None else chance + knobs.share * (full - chance),
        full=full,
        chance=chance,
        next=_next(points, found) if full is not None else [],
        points=points,
    )


def _dimension(knobs: Knobs, row: Row) -> int | None:
    value = reading.setting(row, f"method.{knobs.knob}")
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _chance(knobs: Knobs, rows: list[Row]) -> float | None:
    if knobs.chance is not None:
        return knobs.chance
    if knobs.goal == "maximize":
        return 0.0
    return reading.mean(
        v for row in rows if (v := reading.first(row, knobs.metric.replace("eval/", "train/"))) is not None
    )


def _point(knobs: Knobs, dimension: int, rows: list[Row], full: float | None, chance: float | None) -> Point:
    values = reading.scores(rows, knobs.metric)
    score = reading.mean(values)
    known = None not in (score, full, chance) and full != chance
    share = (score - chance) / (full - chance) if known else None  # type: ignore[operator]
    counts = [count for row in rows if (count := reading.parameters(row, "trainable")) is not None]
    return Point(
        dimension=dimension, trainable=max(counts, default=None), score=score, share=share, seeds=len(values),
        reached=share is not None and share >= knobs.share - ROUNDING,
    )  # fmt: skip


def _next(points: list[Point], found: Point | None) -> list[int]:
    """The geometric middle between the last miss below d90 and d90; nothing when they touch."""
    if found is None:
        return []
    below = [point.dimension for point in points if point.dimension < found.dimension and point.share is not None]
    low, high = (max(below), found.dimension) if below else (1, found.dimension)
    if high - low < 2:
        return []
    return [min(high - 1, max(low + 1, round(math.sqrt(low * high))))]
