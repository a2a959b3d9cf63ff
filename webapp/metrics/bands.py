"""Several runs as one curve: their mean at common places, with a band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from webapp.metrics.decimate import keep

Floats = NDArray[np.float64]
Steps = NDArray[np.int64] | Floats
PLACES = 4000  # at which runs without common steps are compared


class Curve(NamedTuple):
    """`steps` (or another x), `mean`, `lower` and `upper` are equally long."""

    steps: Steps
    mean: Floats
    lower: Floats
    upper: Floats


def curve(runs: Sequence[tuple[Steps, Floats]], band: str) -> Curve:
    """The mean over runs at the steps that all of them have, steps unique and ascending in each.

    `std`: plus and minus the sample standard deviation; `minmax`: the extremes; `ci95`: the 95 % confidence interval of
    the mean by Student's t. One run has a band of no width. A NaN in any run makes that step's mean NaN.
    """
    common: Steps = reduce(np.intersect1d, [steps for steps, _ in runs])
    values = np.stack([values[np.searchsorted(steps, common)] for steps, values in runs])  # (runs, steps)
    with np.errstate(invalid="ignore"):
        mean = values.mean(axis=0)
        lower, upper = _band(values, mean, band)
    return Curve(common, mean, lower, upper)


def _band(values: Floats, mean: Floats, band: str) -> tuple[Floats, Floats]:
    if band == "minmax":
        return values.min(axis=0), values.max(axis=0)
    count = len(values)
    if count == 1:
        return mean, mean
    width = values.std(axis=0, ddof=1)
    if band == "ci95":
        width = width * (t_quantile(0.975, count - 1) / math.sqrt(count))
    return mean - width, mean + width


def pooled(runs: Sequence[tuple[Steps, Floats]], band: str) -> Curve:
    """As `curve`, over any x that ascends; where runs share few places, each is read on straight lines between its
    points, at even places from where the last of them begins to where the first of them ends."""
    common: Steps = reduce(np.intersect1d, [x for x, _ in runs])
    if 2 * len(common) >= min(len(x) for x, _ in runs):
        return curve(runs, band)
    first, last = max(x[0] for x, _ in runs), min(x[-1] for x, _ in runs)
    places = np.linspace(float(first), float(last), PLACES) if first <= last else np.empty(0)
    return curve([(places, np.interp(places, x, y)) for x, y in runs], band)


def thinned(curve: Curve, points: int) -> Curve:
    """At most `points` (but up to 24) of it, with both ends and the spikes of the mean and of the band's edges kept."""
    if len(curve.steps) <= points:
        return curve
    x, each = curve.steps.astype(float), max(8, points // 3)
    chosen = np.unique(np.concatenate([keep(x, line, each) for line in (curve.mean, curve.lower, curve.upper)]))
    return taken(curve, chosen)


def between(curve: Curve, start: float | None, stop: float | None) -> Curve:
    """The points with start <= step <= stop."""
    from_start = np.ones(len(curve.steps), bool) if start is None else curve.steps >= start
    return taken(curve, from_start if stop is None else from_start & (curve.steps <= stop))


def taken(curve: Curve, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Curve:
    return Curve(curve.steps[chosen], curve.mean[chosen], curve.lower[chosen], curve.upper[chosen])


@cache
def t_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t for a probability in (0.5, 1): bisection of its exact distribution."""
    low, high = 0.0, 1.0
    while t_distribution(high, freedom) < probability:
        high *= 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_distribution(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def t_distribution(t: float, freedom: int) -> float:
    """P(T <= t) for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    theta = math.atan(t / math.sqrt(freedom))
    cos, sin = math.cos(theta), math.sin(theta)
    if freedom % 2:
        term, total = cos, 0.0
        for k in range(1, freedom - 1, 2):
            total += term
            term *= cos * cos * (k + 1) / (k + 2)
        two_sided = 2 / math.pi * (theta + sin * total)
    else:
        term, total = 1.0, 0.0
        for k in range(0, freedom, 2):
            total += term
            term *= cos * cos * (k + 1) / (k + 2)
        two_sided = sin * total
    return (1 + two_sided) / 2
