"""The exponential moving average that static/js/smoothing.js draws, written a second time to compare it with."""

from __future__ import annotations

import math

import numpy as np

from webapp.metrics.points import Float64

STRETCHES = 120  # of the shown range
SHORTEST = 3


def smooth(x: Float64, y: Float64, weight: float) -> Float64:
    """The debiased average of y, weighted by distance in x so that decimating a series does not change its look.

    x, y: (n,), x ascending. From x' to x the past keeps k = weight^((x - x') s), where s = min(n, 120) / (x_n - x_1):
    about `weight` over a 120th of the shown range, or from one point to the next where there are fewer. The average and
    its norm are m = k m' + (1 - k) y and c = k c' + (1 - k); the result is m / c. Points that are not finite are passed
    over and give NaN.
    """
    n = len(y)
    if weight <= 0 or n < SHORTEST:
        return y
    scale = min(n, STRETCHES) / (float(x[-1] - x[0]) or 1.0)
    smoothed = np.full(n, math.nan)
    mean = norm = 0.0
    before = float(x[0])
    for i, (at, value) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        if not math.isfinite(value):
            continue
        kept = weight ** max((at - before) * scale, 1e-9 if i else 1.0)
        mean, norm = kept * mean + (1 - kept) * value, kept * norm + (1 - kept)
        smoothed[i] = mean / norm if norm > 0 else value
        before = at
    return smoothed
