"""What a chart's x can be: the step, the time, the time since the run started, the tokens seen or the FLOPs spent by
then, or the value of another metric (`metric:<name>`)."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from webapp.metrics.points import Float64, Int64, Points
from webapp.metrics.ranges import INT64, Range

AxisName = str  # one of AXES, or METRIC and the name of a metric
AXES: tuple[AxisName, ...] = ("step", "time", "relative", "tokens", "flops")
METRIC = "metric:"
PATTERN = rf"^({'|'.join(AXES)}|{METRIC}.{{1,250}})$"
TOKENS, FLOPS = "train/tokens", "train/flops"


class Axis(Protocol):
    @property
    def is_exact(self) -> bool:
        """Whether `range` gives just the points between; else it gives too many, to be looked through."""
        ...

    def x(self, points: Points) -> Int64 | Float64: ...

    def range(self, start: float, stop: float) -> Range:
        """The points whose x lies between the two, both included."""
        ...


class Steps:
    is_exact = True

    def x(self, points: Points) -> Int64:
        return points.steps

    def range(self, start: float, stop: float) -> Range:
        return Range(first_step=_whole(start, math.ceil), last_step=_whole(stop, math.floor))


@dataclass(frozen=True)
class Times:
    """Seconds since `origin`, itself in seconds since the epoch."""

    origin: float = 0.0
    is_exact = True

    def x(self, points: Points) -> Float64:
        return points.times - self.origin if self.origin else points.times

    def range(self, start: float, stop: float) -> Range:
        return Range(first_time=start + self.origin, last_time=stop + self.origin)


@dataclass(frozen=True)
class Tokens:
    """Tokens seen at a step, from the points of `train/tokens`: exact at its steps, in between on a straight line, from
    none at step 0, and no more after the last point. Tokens never shrink."""

    steps: Int64
    tokens: Float64
    is_exact = True

    @classmethod
    def of(cls, points: Points) -> Tokens:
        finite = points.take(np.isfinite(points.values))
        steps, tokens = finite.steps, np.maximum.accumulate(finite.values)
        if len(steps) and steps[0] > 0:
            steps, tokens = np.append(0, steps), np.append(0.0, tokens)
        return cls(steps, tokens)

    def x(self, points: Points) -> Float64:
        return np.interp(points.steps, self.steps, self.tokens)

    def range(self, start: float, stop: float) -> Range:
        steps = range(int(self.steps[0]), int(self.steps[-1]) + 1)
        first = bisect_left(steps, start, key=self._at)  # before the first knot and after the last the line is flat
        last = bisect_right(steps, stop, key=self._at) - 1
        return Range(
            first_step=INT64.min if first == 0 else INT64.max if first == len(steps) else steps[first],
            last_step=INT64.max if last == len(steps) - 1 else INT64.min if last < 0 else steps[last],
        )

    def _at(self, step: int) -> float:
        return float(np.interp(step, self.steps, self.tokens))


@dataclass(frozen=True)
class Spent:
    """What every step costs the same of."""

    per_step: float
    is_exact = True

    def x(self, points: Points) -> Float64:
        return points.steps.astype(np.float64) * self.per_step

    def range(self, start: float, stop: float) -> Range:
        return Steps().range(start / self.per_step, stop / self.per_step)


@dataclass(frozen=True)
class Values:
    """Another metric at the step: exact at its steps, in between on a straight line, nothing (NaN) before and after.

    It may rise and fall, so the line is a path, and points are to be looked through where only a range is wanted.
    """

    steps: Int64
    values: Float64
    is_exact = False

    @classmethod
    def of(cls, points: Points) -> Values:
        finite = points.take(np.isfinite(points.values))
        return cls(finite.steps, finite.values)

    def x(self, points: Points) -> Float64:
        if not len(self.steps):
            return np.full(len(points.steps), math.nan)
        return np.interp(points.steps, self.steps, self.values, left=math.nan, right=math.nan)

    def range(self, start: float, stop: float) -> Range:
        if not len(self.steps):
            return Range(first_step=INT64.max, last_step=INT64.min)
        return Range(first_step=int(self.steps[0]), last_step=int(self.steps[-1]))


def _whole(value: float, towards: Callable[[float], int]) -> int:
    """The next whole step, kept inside int64."""
    if math.isinf(value):
        return INT64.max if value > 0 else INT64.min
    return min(max(towards(value), INT64.min), INT64.max)
