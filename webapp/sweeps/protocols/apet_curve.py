"""APET curve: score against trainable parameters, for several structures and model sizes.

Each adapter is trained at several ranks; the trainable parameters are counted exactly. Beside the points stand the full
fine-tune of each size, the count from which a structure does better than chance, and per size how far the structures
lie apart at equal counts (interpolated in log count). The paper sees that spread shrink as models grow (Su et al. 2023,
"Exploring the Impact of Model Scaling on Parameter-Efficient Tuning": 11 tasks, two models).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from gpu_jobs import registry as jobs
from webapp.sweeps import planning
from webapp.sweeps.measures import outcomes, reading
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/2306.02320"
FULL = "full"


class Knobs(Base):
    name: Literal["apet_curve"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    goal: Literal["minimize", "maximize"] = "minimize"
    structures: list[planning.MethodName] = Field(["lora"], min_length=1, max_length=50, description="Adapters.")
    ranks: list[int] = Field([1, 4, 16, 64], min_length=1, max_length=20, description="For structures with a rank.")
    sizes: list[planning.SizeName] = Field([], max_length=20, description=planning.SIZES)
    seeds: int = Field(1, ge=1, le=20, description="Seeds of every point.")
    chance: float | None = Field(None, description="The score of guessing; draws a line, and says who passes it.")
    counts: int = Field(5, ge=2, le=50, description="Counts at which the structures are compared.")


class Point(BaseModel):
    size: str
    structure: str
    trainable: int
    score: float | None
    std: float | None
    seeds: int


class Threshold(BaseModel):
    size: str
    structure: str
    trainable: int | None = Field(description="The smallest count that does better than chance; none: no count does.")


class Spread(BaseModel):
    size: str
    trainable: float
    spread: float = Field(description="Best less worst structure at this count.")
    structures: int


class Result(outcomes.Result):
    points: list[Point] = []
    full: list[Point] = []
    thresholds: list[Threshold] = []
    spreads: list[Spread] = []
    chance: float | None = None
    metric: str = ""


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    planning.need_methods("structures", knobs.structures, "adapters")
    planned = []
    for size in knobs.sizes or [""]:
        spec = {**planning.sized(base, size), "kind": "finetune"}
        asked = _adapters(knobs, spec)
        planned.append(planning.Planned(f"Adapters {size}".strip(), asked, {"size": size, "part": "adapters"}))
        whole = planning.changed(spec, {"method": {"name": FULL}})
        one = planning.definition(whole, {"name": "grid"}, {}, knobs.metric, knobs.goal, trials=1, seeds=knobs.seeds)
        planned.append(planning.Planned(f"All weights {size}".strip(), one, {"size": size, "part": FULL}))
    return planned


def _adapters(knobs: Knobs, spec: Mapping[str, Any]) -> planning.Json:
    """Every rank of every structure that has one; the others once."""
    ranked = [name for name in knobs.structures if "rank" in jobs.methods("adapters")[name].knobs.model_fields]
    ranks = sorted(set(knobs.ranks))
    space: dict[str, Any] = {"method.name": {"choices": knobs.structures}}
    if ranked:
        space["method.rank"] = {"choices": ranks, "when": {"method.name": ranked}}
    trials = len(ranked) * len(ranks) + len(knobs.structures) - len(ranked)
    spec = planning.changed(spec, {"method": {"name": knobs.structures[0]}})
    return planning.definition(
        spec, {"name": "grid"}, space, knobs.metric, knobs.goal, trials=trials, seeds=knobs.seeds
    )


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen, tuned = outcomes.outcomes(rows), reading.tuning(rows)
    counted = [row for row in tuned if reading.parameters(row, "trainable") is not None]
    places = reading.grouped(counted, lambda row: _place(row, labels))
    points = [_point(knobs, *place, of) for place, of in sorted(places.items())]
    apet = [point for point in points if point.structure != FULL]
    uncounted = len(tuned) - len(counted)
    return Result(
        outcomes=seen,
        notes=[*outcomes.told(seen), *([f"{uncounted} runs have not counted their parameters."] if uncounted else [])],
        points=apet,
        full=[point for point in points if point.structure == FULL],
        thresholds=_thresholds(knobs, apet) if knobs.chance is not None else [],
        spreads=[spread for size in sorted({p.size for p in apet}) for spread in _spreads(knobs, size, apet)],
        chance=knobs.chance,
        metric=knobs.metric,
    )


def _place(row: Row, labels: Labels) -> tuple[str, str, int]:
    structure = str(reading.setting(row, "method.name") or reading.at(row.spec, "method.name"))
    return reading.label(labels, row, "size"), structure, reading.parameters(row, "trainable") or 0


def _point(knobs: Knobs, size: str, structure: str, trainable: int, rows: list[Row]) -> Point:
    values = reading.scores(rows, knobs.metric)
    return Point(
        size=size, structure=structure, trainable=trainable, score=reading.mean(values),
        std=reading.deviation(values), seeds=len(values),
    )  # fmt: skip


def _thresholds(knobs: Knobs, points: list[Point]) -> list[Threshold]:
    found: dict[tuple[str, str], int | None] = {}
    for point in points:  # by size, structure, then count
        passes = point.score is not None and _is_better(knobs, point.score)
        key = (point.size, point.structure)
        if found.get(key) is None:
            found[key] = point.trainable if passes else None
    return [Threshold(size=size, structure=name, trainable=count) for (size, name), count in found.items()]


def _is_better(knobs: Knobs, value: float) -> bool:
    assert knobs.chance is not None
    return value < knobs.chance if knobs.goal == "minimize" else value > knobs.chance


def _spreads(knobs: Knobs, size: str, points: list[Point]) -> list[Spread]:
    """On a log grid over the counts that at least two structures span."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for point in points:
        if point.size == size and point.score is not None and point.trainable > 0:
            x, y = curves.setdefault(point.structure, ([], []))
            x.append(float(np.log(point.trainable)))
            y.append(point.score)
    if len(curves) < 2:
        return []
    low, high = min(x[0] for x, _ in curves.values()), max(x[-1] for x, _ in curves.values())
    found = []
    for place in np.linspace(low, high, knobs.counts):
        inside = [float(np.interp(place, x, y)) for x, y in curves.values() if x[0] - 1e-9 <= place <= x[-1] + 1e-9]
        if len(inside) > 1:
            spread = max(inside) - min(inside)
            found.append(Spread(size=size, trainable=float(np.exp(place)), spread=spread, structures=len(inside)))
    return found
