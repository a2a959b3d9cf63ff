"""LR sensitivity: how much worse the loss gets when the learning rate is off, by model size.

    S = mean over log lr in [low, high] of min(l(lr), l0) - l*

l is the final loss, l0 the loss at initialisation, l* the best over the grid; a run that diverged counts as l0
(Wortsman et al. 2023, section 2.2). `track` follows other series over model size N: the slope of log value over log N
at one rate, extrapolated to `extrapolate_to` parameters. The paper trains with qk-norm, z-loss 1e-4, AdamW (0.9, 0.95,
1e-8), clip 1, 5 % warm-up, cosine to 1e-5, independent decay 1e-4, batch 256, length 512; its range 3e-4 to 3e-1 is
recalled, not checked against its text. The first logged training loss stands for l0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field, field_validator

from webapp.sweeps import planning
from webapp.sweeps.measures import outcomes, reading
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.measures.sensitivity import lr_sensitivity
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row
from webapp.sweeps.states import TrialStatus

PAPER = "https://arxiv.org/abs/2309.14322"


class Knobs(Base):
    name: Literal["lr_sensitivity"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The final loss.")
    initial: str = Field("train/loss", min_length=1, max_length=200, description="Its first value is l0.")
    low: float = Field(3e-4, gt=0, description="Lowest learning rate.", json_schema_extra={"log": True})
    high: float = Field(3e-1, gt=0, description="Highest learning rate.", json_schema_extra={"log": True})
    points: int = Field(7, ge=2, le=100, description="Learning rates, evenly spaced in their logarithms.")
    sizes: list[planning.SizeName] = Field([], max_length=20, description=planning.SIZES)
    seeds: int = Field(1, ge=1, le=20, description="Seeds of every point.")
    track: list[str] = Field(["train/grad_norm"], max_length=10, description="Series whose trend over size is fitted.")
    extrapolate_to: float | None = Field(None, gt=0, description="Parameters at which that trend is read off.")

    @field_validator("high")
    @classmethod
    def _rises(cls, high: float, info: Any) -> float:
        if high <= info.data.get("low", 0):
            raise ValueError(f"high must exceed low: {high:g} is not above {info.data['low']:g}")
        return high


class Point(BaseModel):
    size: str
    lr: float
    loss: float | None = Field(description="Mean over the seeds that ended; diverged ones count as l0.")
    clipped: float | None
    seeds: int
    diverged: int


class Curve(BaseModel):
    size: str
    parameters: int | None
    sensitivity: float | None = Field(description="S.")
    best_lr: float | None
    best_loss: float | None
    initial: float | None = Field(description="l0.")


class Trend(BaseModel):
    metric: str
    lr: float
    exponent: float = Field(description="Slope of log value over log parameters.")
    extrapolated: float | None


class Result(outcomes.Result):
    curves: list[Curve] = []
    points: list[Point] = []
    trends: list[Trend] = []


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    space = {"optimizer.lr": planning.grid(knobs.low, knobs.high, knobs.points)}
    return [
        planning.Planned(
            f"LR sensitivity {size}".strip(),
            planning.grid_of(planning.sized(base, size), space, knobs.metric, "minimize", seeds=knobs.seeds),
            {"size": size},
        )
        for size in knobs.sizes or [""]
    ]


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen, tuned = outcomes.outcomes(rows), reading.tuning(rows)
    sizes = reading.grouped(tuned, lambda row: _size(row, labels))
    initial = {size: _initial(knobs, of) for size, of in sizes.items()}
    points = [point for size, of in sizes.items() for point in _points(knobs, size, of, initial[size])]
    curves = [_curve(size, of, [p for p in points if p.size == size], initial[size]) for size, of in sizes.items()]
    return Result(
        outcomes=seen,
        notes=outcomes.told(seen) + [f"No loss at initialisation of {s}." for s, l0 in initial.items() if l0 is None],
        curves=sorted(curves, key=lambda curve: (curve.parameters or 0, curve.size)),
        points=points,
        trends=[trend for metric in knobs.track for trend in _trends(knobs, metric, tuned)],
    )


def _size(row: Row, labels: Labels) -> str:
    named = reading.label(labels, row, "size")
    total = reading.parameters(row, "total")
    return named or (f"{total:,} parameters" if total else "base")


def _initial(knobs: Knobs, rows: list[Row]) -> float | None:
    """Before the first update no learning rate matters, so all runs of a size tell of the same loss."""
    found = [value for row in rows if (value := reading.first(row, knobs.initial)) is not None]
    return float(np.median(sorted(found))) if found else None


def _points(knobs: Knobs, size: str, rows: list[Row], initial: float | None) -> list[Point]:
    rates = reading.grouped(rows, lambda row: float(reading.setting(row, "optimizer.lr")))
    return [_point(knobs, size, rate, of, initial) for rate, of in sorted(rates.items())]


def _point(knobs: Knobs, size: str, rate: float, rows: list[Row], initial: float | None) -> Point:
    diverged = sum(row.status == TrialStatus.DIVERGED for row in rows)
    losses = reading.scores(rows, knobs.metric)
    loss = reading.mean([*losses, *([initial] * diverged if initial is not None else [])])
    clipped = [value if initial is None else min(value, initial) for value in losses]
    return Point(
        size=size,
        lr=rate,
        loss=loss,
        clipped=reading.mean([*clipped, *([initial] * diverged if initial is not None else [])]),
        seeds=len(losses),
        diverged=diverged,
    )


def _curve(size: str, rows: list[Row], points: list[Point], initial: float | None) -> Curve:
    known = {point.lr: point.clipped for point in points if point.clipped is not None}
    best = min(known, key=lambda rate: (known[rate], rate), default=None)
    return Curve(
        size=size,
        parameters=max((count for row in rows if (count := reading.parameters(row, "total"))), default=None),
        sensitivity=lr_sensitivity(known, math.inf if initial is None else initial),
        best_lr=best,
        best_loss=known[best] if best is not None else None,
        initial=initial,
    )


def _trends(knobs: Knobs, metric: str, rows: list[Row]) -> list[Trend]:
    """At each learning rate that two sizes or more have: a straight line through the mean of each size."""
    found = []
    for rate, of in sorted(reading.grouped(rows, lambda row: float(reading.setting(row, "optimizer.lr"))).items()):
        sizes = reading.grouped(of, lambda row: reading.parameters(row, "total") or 0)
        means = {n: value for n, some in sorted(sizes.items()) if n and (value := _positive(some, metric))}
        if len(means) < 2:
            continue
        slope, offset = np.polyfit(np.log(list(means)), np.log(list(means.values())), 1)
        there = knobs.extrapolate_to and math.exp(min(700.0, offset + slope * math.log(knobs.extrapolate_to)))
        found.append(Trend(metric=metric, lr=rate, exponent=float(slope), extrapolated=there))
    return found


def _positive(rows: list[Row], metric: str) -> float | None:
    value = reading.mean(reading.scores(rows, metric))
    return value if value and value > 0 else None
