"""Where training curves will end, with uncertainty: many at once, in closed form, on NumPy alone.

Each curve up to now is read as a straight line in a shape chi that falls from 1 at its first point to 0 now:

    y(s) = level + drop chi(s) + noise        final = level - drop r        r = what of the shape is still to come

Shapes are power laws phi(s) = (s + c)^-d, exponentials, and the siblings' mean curve, which has the schedule of the
learning rate in it; chi(s) = (phi(s) - phi(now)) / (phi(first) - phi(now)). Given a shape this is Bayesian linear
regression (flat in level and drop, inverse gamma for the noise): a Student t for the final value, and the evidence
of the shape. Shapes are averaged by their evidence times their prior, which is how well they fit the siblings that
have ended (empirical Bayes; cf. Domhan et al. 2015, who average parametric curves by sampling).

No shape is right. So the same forecast is made for each sibling that has ended, from the same step and without
itself, and its errors in standard deviations, z, say how far forecasts here are off and how wide they must be: the
result is a Student t with the z's mean and spread, shrunk to 0 and 1 while there are few.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_BINS = 24
NOISE_WEIGHT = 2.0  # points that the noise's prior counts as
SHAPE_WEIGHT = 4.0  # siblings that the uniform prior over shapes counts as
BIAS_WEIGHT, SPREAD_WEIGHT = 1.0, 3.0  # siblings that "off by 0" and "as wide as usual" count as
USUAL_SPREAD = 3.0  # variance of z before a sibling has ended: shapes are never right
OFFSETS, EXPONENTS = (0.001, 0.01, 0.05, 0.2, 1.0), (0.1, 0.3, 0.6, 1.0, 2.0)  # of power laws; offsets in target steps
RATES = (0.5, 1.5, 4.0, 10.0, 30.0)  # of exponentials, per target steps
LEAST_SCALE = 0.01  # of the usual one: a curve that happens to be smooth is not known a hundred times as well
LEAST, TINY = 1e-12, 1e-300


class Forecast(NamedTuple):
    """A Student t for each curve's final value, as it will be measured. `location` and `scale`: (m,)."""

    location: Floats
    scale: Floats
    freedom: float

    def quantile(self, probability: float) -> Floats:
        from scipy.special import stdtrit

        return self.location + self.scale * float(stdtrit(self.freedom, probability))

    def samples(self, count: int, seed: int) -> Floats:
        """(count, m)"""
        draws = np.random.default_rng(seed).standard_t(self.freedom, (count, len(self.location)))
        return self.location + self.scale * draws


class Fit(NamedTuple):
    """Of each curve by each shape: (m, g)."""

    mean: Floats  # of the final value
    variance: Floats
    evidence: Floats  # logarithm, up to a constant of each curve


class Line(NamedTuple):
    """Least squares of curves on shapes: y = middle_y + drop (chi - middle_x). Each (m, g)."""

    middle_x: Floats
    xx: Floats  # sums of squares around the middles
    xy: Floats
    to_come: Floats  # chi at the last step


def forecast(steps: NDArray[np.int64], values: Floats, ended: Floats) -> Forecast:
    """What the curves `values` (m, p) will be at the last of `steps` (q,), having come to the first p of them.

    `ended` (n, q): the siblings that have got there. All finite; 3 <= p < q; n may be 0.
    """
    others, come = values.shape
    curves = np.concatenate([values, ended[:, :come]])
    weights = _shape_weights(steps, ended)
    fit = _fit(_shapes(steps, ended, others), curves)
    location, scale = _average(fit, _prior(weights, others))
    bias, spread, freedom = _calibration((ended[:, -1] - location[others:]) / scale[others:])
    return Forecast(location[:others] + bias * scale[:others], spread * scale[:others], freedom)


def _shapes(steps: NDArray[np.int64], ended: Floats, others: int) -> list[Floats]:
    """phi at every step: (1, g, q) the same for all, and (others + n, 1, q) the mean of the siblings less itself."""
    time = steps / steps[-1]
    power = [((time + c) / (time[0] + c)) ** -d for c in OFFSETS for d in EXPONENTS]
    fixed = np.array([power + [np.exp(-rate * (time - time[0])) for rate in RATES]])
    if len(ended) < 2:
        return [fixed]
    standard = (ended - ended.mean(1, keepdims=True)) / (ended.std(1, keepdims=True) + LEAST)
    total = standard.sum(0)
    own = np.concatenate([np.broadcast_to(total, (others, len(total))), total - standard])
    return [fixed, own[:, None]]


def _fit(shapes: list[Floats], curves: Floats) -> Fit:
    """Each curve by each shape: Bayesian linear regression on the means of bins, and what follows at the last step."""
    come = curves.shape[1]
    starts = np.unique(np.linspace(0, come, min(come, MOST_BINS), endpoint=False).astype(int))
    size = np.diff(np.append(starts, come)).astype(float)  # (b,)
    y = np.add.reduceat(curves, starts, axis=1) / size
    middle_y = (y @ size / come)[:, None]
    lines = [_line(shape, come, starts, size, y - middle_y) for shape in shapes]
    middle_x, xx, xy, to_come = (np.concatenate(part, axis=1) for part in zip(*lines, strict=True))
    yy = (y - middle_y) ** 2 @ size
    rest = np.maximum(yy[:, None] - xy**2 / xx, 0)
    freedom = len(starts) - 2
    usual = max(float(np.median(rest.min(1))) / freedom, LEAST * float(np.median(yy)), TINY)
    total = rest + NOISE_WEIGHT * usual
    ahead = to_come - middle_x
    variance = total / (freedom + NOISE_WEIGHT) * (1 + 1 / come + ahead**2 / xx)
    evidence = -0.5 * np.log(xx) - 0.5 * (freedom + NOISE_WEIGHT) * np.log(total)
    return Fit(middle_y + xy / xx * ahead, variance, evidence)


def _line(shapes: Floats, come: int, starts: NDArray[np.int64], size: Floats, y: Floats) -> Line:
    """`shapes` (1 or m, g, q); `y` (m, b) around its middle."""
    now = shapes[:, :, come - 1 : come]
    chi = (shapes - now) / _away(shapes[:, :, :1] - now)
    x = np.add.reduceat(chi[:, :, :come], starts, axis=2) / size
    middle = x @ size / come
    x = x - middle[..., None]
    xy = (x @ (size * y)[..., None])[..., 0]
    xx = np.maximum((size * x * x).sum(2), TINY)
    return Line(*(np.broadcast_to(part, xy.shape) for part in (middle, xx, xy, chi[:, :, -1])))


def _away(value: Floats) -> Floats:
    """Never 0."""
    return np.where(np.abs(value) < LEAST, LEAST, value)


def _shape_weights(steps: NDArray[np.int64], ended: Floats) -> Floats:
    """(n, g): how well each shape fits each sibling's whole curve, as shares of 1."""
    shapes = _shapes(steps, ended, 0)
    if not len(ended):
        return np.zeros((0, shapes[0].shape[1]))
    return _shares(_fit(shapes, ended).evidence)


def _prior(weights: Floats, others: int) -> Floats:
    """(others + n, g): logarithms. A sibling's own weights are left out of its prior."""
    total = weights.sum(0) + SHAPE_WEIGHT / weights.shape[1]
    prior = np.concatenate([np.broadcast_to(total, (others, len(total))), total - weights])
    shares: Floats = np.log(prior / prior.sum(1, keepdims=True))
    return shares


def _shares(logarithms: Floats) -> Floats:
    weights: Floats = np.exp(logarithms - logarithms.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return weights


def _average(fit: Fit, prior: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation (m,) of each curve's mixture over shapes."""
    weights = _shares(fit.evidence + prior)
    mean = (weights * fit.mean).sum(1)
    scale = np.sqrt((weights * (fit.variance + (fit.mean - mean[:, None]) ** 2)).sum(1))
    return mean, np.maximum(scale, LEAST_SCALE * np.median(scale))


def _calibration(off: Floats) -> tuple[float, float, float]:
    """(bias, spread, degrees of freedom) of a further z: the predictive of a normal with conjugate priors."""
    n = len(off)
    off = _without_outliers(off)
    bias = float(off.sum()) / (BIAS_WEIGHT + n)
    squares = SPREAD_WEIGHT * USUAL_SPREAD + float((off**2).sum()) - (BIAS_WEIGHT + n) * bias**2
    spread = squares / (SPREAD_WEIGHT + n) * (1 + 1 / (BIAS_WEIGHT + n))
    return bias, float(np.sqrt(spread)), SPREAD_WEIGHT + n


def _without_outliers(off: Floats) -> Floats:
    """Drawn in to ten usual distances from the middle: one sibling that blew up at its end must not widen all bands."""
    if not len(off):
        return off
    middle = np.median(off)
    reach = 10 * max(1.0, 1.4826 * float(np.median(np.abs(off - middle))))
    return np.clip(off, middle - reach, middle + reach)
