"""A group against the baseline: the difference of their means and its share of the baseline's, with intervals.

Where both have the same seeds, runs of one seed read the same samples in the same order: their differences are taken
seed by seed (Student's paired t). Otherwise Welch's t of two independent samples. The interval of the relative
difference is that of the ratio of two means by Fieller's theorem (Fieller 1954), with the same t quantile:

    {R : (a - R b)^2 <= t^2 (v_a - 2 R c + R^2 v_b)}

where v_a, v_b and c are the variances and the covariance of the means. It holds 0 exactly when the absolute interval
does, and has no bounds where the baseline itself can't be told from 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from webapp.metrics.points import Float64
from webapp.sweeps.comparison.question import Test
from webapp.sweeps.statistics import Difference, difference, interval, t_doubt, t_quantile, welch

Sample = Mapping[int, float]  # of a group: by seed, or by run where seeds say nothing


class Versus(NamedTuple):
    """`test` is "" where there are too few seeds for any; `n`: pairs of a paired test."""

    test: Literal["paired", "welch", ""]
    n: int
    absolute: Difference
    relative: Difference | None  # None where the baseline is 0

    @property
    def is_noise(self) -> bool | None:
        """Whether the interval holds 0; None without one."""
        low, high = self.absolute.low, self.absolute.high
        return None if low is None or high is None else low <= 0 <= high


class _Moments(NamedTuple):
    """Of two means: their values, variances and covariance, and the degrees of freedom of their difference."""

    a: float
    b: float
    var_a: float
    var_b: float
    covariance: float
    freedom: float


def versus(group: Sample, baseline: Sample, test: Test = "auto", confidence: float = 0.95) -> Versus:
    """mean(group) - mean(baseline). Neither may be empty; a paired test looks at common seeds alone."""
    common = sorted(group.keys() & baseline.keys())
    is_same = group.keys() == baseline.keys()
    if len(common) > 1 and (test == "paired" or (test == "auto" and is_same)):
        a, b = np.array([group[key] for key in common]), np.array([baseline[key] for key in common])
        absolute = _paired(a, b, confidence)
        return Versus("paired", len(common), absolute, _relative(_of_pairs(a, b), absolute, confidence))
    a, b = np.array(list(group.values())), np.array(list(baseline.values()))
    if test == "paired" or min(len(a), len(b)) < 2:
        return Versus("", 0, *_bare(float(a.mean()), float(b.mean())))
    absolute = difference(a.tolist(), b.tolist(), confidence)
    return Versus("welch", 0, absolute, _relative(_of_samples(a, b), absolute, confidence))


def _bare(a: float, b: float) -> tuple[Difference, Difference | None]:
    """Without intervals."""
    return Difference(a - b, None, None, None), Difference((a - b) / abs(b), None, None, None) if b else None


def _paired(a: Float64, b: Float64, confidence: float) -> Difference:
    gaps = a - b
    found = interval(gaps.tolist(), confidence)
    error = float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
    p = t_doubt(found.mean / error, len(gaps) - 1) if error else float(found.mean == 0)
    return Difference(found.mean, found.low, found.high, p)


def _of_pairs(a: Float64, b: Float64) -> _Moments:
    (var_a, covariance), (_, var_b) = (np.cov(a, b, ddof=1) / len(a)).tolist()
    return _Moments(float(a.mean()), float(b.mean()), var_a, var_b, covariance, len(a) - 1)


def _of_samples(a: Float64, b: Float64) -> _Moments:
    var_a, var_b = float(a.var(ddof=1)), float(b.var(ddof=1))
    freedom = welch(var_a, var_b, len(a), len(b)).freedom
    return _Moments(float(a.mean()), float(b.mean()), var_a / len(a), var_b / len(b), 0.0, freedom)


def _relative(of: _Moments, absolute: Difference, confidence: float) -> Difference | None:
    """(mean(a) - mean(b)) / |mean(b)|."""
    if not of.b:
        return None
    mean = (of.a - of.b) / abs(of.b)
    bounds = _ratio(of, confidence)
    if bounds is None:
        return Difference(mean, None, None, None)
    low, high = sorted(math.copysign(1, of.b) * (bound - 1) for bound in bounds)
    return Difference(mean, low, high, absolute.p_value)


def _ratio(of: _Moments, confidence: float) -> tuple[float, float] | None:
    """Fieller's bounds of mean(a) / mean(b); the discriminant is expanded, so that nothing cancels."""
    a, b, var_a, var_b, covariance, freedom = of
    t = t_quantile(confidence, freedom)
    scale = b * b - t * t * var_b
    if scale <= 0:
        return None
    inside = a * a * var_b + b * b * var_a - 2 * a * b * covariance - t * t * (var_a * var_b - covariance**2)
    centre, half = (a * b - t * t * covariance) / scale, t * math.sqrt(max(inside, 0.0)) / scale
    return centre - half, centre + half
