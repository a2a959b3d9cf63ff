"""How far a model can be pruned: where its curve bends, and where it leaves what is tolerated.

A curve is how much worse than dense the model is (0 as good, .01 one per cent worse) over its measured sparsity.

    knee     argmax of x^ - y^, both axes scaled to [0, 1] from the first point to the last: the point farthest below
             the chord (Satopaa et al. 2011, "Kneedle", on the points themselves, without smoothing); none on a curve
             that does not get worse, or that lies nowhere below its chord
    limit    the sparsity at which the curve first exceeds the tolerance, interpolated between the two points around it

Intervals are percentiles over seeds drawn with replacement, a seed with its whole curve (a paired bootstrap): all
draws of up to five seeds, else DRAWS of them. Three seeds have ten different draws, so that interval is too narrow.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
DRAWS = 1000
MOST_ENUMERATED = 5  # seeds
LEAST_KNEE = 1e-9  # below the chord, of the scaled axes


class Curve(NamedTuple):
    """`worse[s][p]`: seed s at x[p], NaN where it has no value there."""

    x: Float64  # (points,), rising
    worse: Float64  # (seeds, points)


class Found(NamedTuple):
    """An estimate with the bounds of its interval; none with one seed. Of a limit -inf is "not even the smallest" and
    inf "beyond the largest"; of a knee NaN is none."""

    value: float
    low: float | None
    high: float | None


def curve(samples: Mapping[float, Mapping[int, tuple[float, float]]]) -> Curve:
    """Of {target: {seed: (measured sparsity, how much worse)}}. A point stands at the mean of what was measured."""
    targets = sorted(samples)
    seeds = sorted({seed for told in samples.values() for seed in told})
    places = {seed: row for row, seed in enumerate(seeds)}
    worse = np.full((len(seeds), len(targets)), np.nan)
    for column, target in enumerate(targets):
        for seed, (_, value) in samples[target].items():
            worse[places[seed], column] = value
    x = np.array([np.mean([measured for measured, _ in samples[target].values()]) for target in targets])
    order = np.argsort(x, kind="stable")
    return Curve(x[order], worse[:, order])


def limit(curve: Curve, tolerance: float, confidence: float) -> Found:
    """How far one can prune. Raises ValueError for a curve without points."""
    drawn = limits(curve.x, means(curve.worse, draws(len(curve.worse))), tolerance)
    return _found(limits(curve.x, means(curve.worse), tolerance), drawn, len(curve.worse), confidence)


def knee(curve: Curve, confidence: float) -> Found:
    """Where it bends; no bounds where fewer than half of the draws have a knee."""
    found = knees(curve.x, means(curve.worse, draws(len(curve.worse))))
    known = found[np.isfinite(found)]
    several = len(curve.worse) if 2 * len(known) >= len(found) else 1
    return _found(knees(curve.x, means(curve.worse)), known, several, confidence)


def at(curve: Curve, x: float) -> float | None:
    """The mean curve at a sparsity, interpolated; None beyond its ends."""
    mean = means(curve.worse)[0]
    is_there = np.isfinite(mean)
    known = curve.x[is_there]
    if not len(known) or not known[0] <= x <= known[-1]:
        return None
    return float(np.interp(x, known, mean[is_there]))


def means(worse: Float64, counts: Float64 | None = None) -> Float64:
    """(draws, points) mean curves; `counts[d][s]` is how often seed s is in draw d. NaN where none has a value."""
    counts = np.ones((1, len(worse))) if counts is None else counts
    is_there = np.isfinite(worse)
    total = counts @ np.where(is_there, worse, 0.0)
    number = counts @ is_there.astype(np.float64)
    with np.errstate(invalid="ignore"):
        found: Float64 = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return found


def draws(seeds: int) -> Float64:
    """(draws, seeds) how often each seed is drawn, with replacement."""
    if seeds <= MOST_ENUMERATED:
        drawn = np.array(list(itertools.product(range(seeds), repeat=seeds)), dtype=np.intp).reshape(-1, seeds)
        found: Float64 = np.stack([(drawn == seed).sum(axis=1) for seed in range(seeds)], axis=1).astype(np.float64)
        return found
    rng = np.random.default_rng(0)
    return rng.multinomial(seeds, [1 / seeds] * seeds, size=DRAWS).astype(np.float64)


def limits(x: Float64, worse: Float64, tolerance: float) -> Float64:
    """(curves,) of worse (curves, points): where each first exceeds the tolerance; -inf: at once, inf: never."""
    worse = _filled(x, worse)
    exceeds = worse > tolerance
    right = exceeds.argmax(axis=1)
    rows, left = np.arange(len(worse)), np.maximum(right - 1, 0)
    below, above = worse[rows, left], worse[rows, right]
    with np.errstate(invalid="ignore", divide="ignore"):
        crossing = x[left] + (tolerance - below) / (above - below) * (x[right] - x[left])
    found: Float64 = np.where(right == 0, -math.inf, crossing)
    return np.where(exceeds.any(axis=1), found, math.inf)


def knees(x: Float64, worse: Float64) -> Float64:
    """(curves,) of worse (curves, points); NaN where there is none."""
    worse = _filled(x, worse)
    width, height = x[-1] - x[0], worse[:, -1:] - worse[:, :1]
    if len(x) < 3 or width <= 0:
        return np.full(len(worse), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        below = (x - x[0]) / width - (worse - worse[:, :1]) / height
    below = np.where(np.isfinite(below) & (height > 0), below, -math.inf)
    found: Float64 = np.where(below.max(axis=1) > LEAST_KNEE, x[below.argmax(axis=1)], np.nan)
    return found


def _filled(x: Float64, worse: Float64) -> Float64:
    """Points without a value as their neighbours have it; a draw may have none there."""
    missing = ~np.isfinite(worse)
    if not missing.any():
        return worse
    worse = worse.copy()
    for row in np.flatnonzero(missing.any(axis=1)):
        there = ~missing[row]
        worse[row] = np.interp(x, x[there], worse[row, there]) if there.any() else 0.0
    return worse


def _found(value: Sequence[float] | Float64, drawn: Float64, seeds: int, confidence: float) -> Found:
    if seeds < 2 or not len(drawn):
        return Found(float(value[0]), None, None)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], method="inverted_cdf")
    return Found(float(value[0]), float(low), float(high))
