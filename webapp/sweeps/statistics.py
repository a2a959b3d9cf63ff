"""What a few seeds say: intervals of a mean, of a difference, and which trials may still be the best."""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_SEEDS = 1_000_000


class Interval(NamedTuple):
    """Of a mean over `n` seeds. No bounds where one seed, or a value that is not finite, can't give any."""

    mean: float
    low: float | None
    high: float | None
    n: int


class Difference(NamedTuple):
    """mean(a) - mean(b). No bounds and no p where one of them has a single seed, or a value that is not finite."""

    mean: float
    low: float | None
    high: float | None
    p_value: float | None


class Sizes(NamedTuple):
    """Standard error of a difference of means, and Welch's degrees of freedom."""

    error: float
    freedom: float


def interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's t interval of the mean: mean -+ t_(n-1) s / sqrt(n). Raises ValueError for no values."""
    n = len(values)
    if not n:
        raise ValueError("an interval needs at least one value")
    mean = _mean(values)
    if n == 1 or not _finite(values):
        return Interval(mean, None, None, n)
    half = t_quantile(confidence, n - 1) * math.sqrt(_variance(values) / n)
    return Interval(mean, mean - half, mean + half, n)


def difference(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> Difference:
    """Welch's t interval and two-sided p of mean(a) - mean(b): no equal spread is assumed (Welch 1947).

    Seeds that all give the same value on both sides leave no doubt: p is 0 for different means, 1 for equal ones.
    """
    gap = _mean(a) - _mean(b)
    if min(len(a), len(b)) < 2 or not (_finite(a) and _finite(b)):
        return Difference(gap, None, None, None)
    error, freedom = welch(_variance(a), _variance(b), len(a), len(b))
    if not error:
        return Difference(gap, gap, gap, float(gap == 0))
    half = t_quantile(confidence, freedom) * error
    return Difference(gap, gap - half, gap + half, t_doubt(gap / error, freedom))


@functools.lru_cache(4096)
def t_quantile(confidence: float, freedom: float) -> float:
    """Of Student's t, two-sided. (scipy.stats gives the same in a hundred times the time.)"""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def t_doubt(t: float, freedom: float) -> float:
    """The two-sided p of a value of Student's t."""
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(t)))


def seeds_needed(a: Sequence[float], b: Sequence[float], *, confidence: float = 0.95, power: float = 0.8) -> int | None:
    """How many more seeds each until Welch's test tells a from b, with this power. 0: it does so already.

    Takes the difference and the spreads seen so far for the true ones, so it is an estimate as good as they are. None
    where they can't be estimated (a single seed, not finite), where nothing differs, or above a million.
    """
    seen = difference(a, b, confidence)
    if seen.p_value is None or seen.mean == 0:
        return None
    if seen.p_value < 1 - confidence:
        return 0
    spreads, sizes = (_variance(a), _variance(b)), (len(a), len(b))

    def enough(more: int) -> bool:
        return _power(seen.mean, welch(*spreads, sizes[0] + more, sizes[1] + more), confidence) >= power

    high = 1
    while not enough(high):
        high *= 2
        if high > MOST_SEEDS:
            return None
    return 1 + bisect.bisect_left(range(1, high), True, key=enough)


def contenders(samples: Mapping[int, Sequence[float]], confidence: float) -> set[int]:
    """The trials not yet shown to be worse than the best. Less is better; one with a single seed is never dropped.

    Successive elimination (Even-Dar et al. 2006, section 4) with Welch's one-sided test in place of Hoeffding's bound:
    a trial of n seeds is compared, on the first n values of both, with the best of those that have as many. Its level
    (1 - confidence) / (n (n - 1) (k - 1)) sums to 1 - confidence over all n >= 2 and all k - 1 others (Bonferroni), so
    in a race of any length the truly best of k stays with at least this confidence. A trial with a value that is not
    finite is worse than any without.
    """
    sound = {trial: values for trial, values in samples.items() if _finite(values)}
    doubt = (1 - confidence) / max(len(samples) - 1, 1)
    left = {trial for trial, values in sound.items() if len(values) < 2} if sound else set(samples)
    for n in {len(values) for values in sound.values() if len(values) > 1}:
        peers = {trial: values[:n] for trial, values in sound.items() if len(values) >= n}
        chances = _chances(list(peers.values()))
        level = doubt / (n * (n - 1))
        left |= {trial for trial, p in zip(peers, chances, strict=True) if len(sound[trial]) == n and not p < level}
    return left


def _chances(samples: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """(k,) Welch's one-sided p that each of k samples of one size is no worse than the one with the least mean.

    NaN for samples that are all the same value as the best's.
    """
    from scipy import stats

    values = _array(samples)  # (k, n)
    means, spreads, n = values.mean(axis=1), values.std(axis=1, ddof=1), values.shape[1]
    best = int(means.argmin())
    found = stats.ttest_ind_from_stats(
        means, spreads, n, means[best], spreads[best], n, equal_var=False, alternative="greater"
    )
    return _array(found.pvalue)


def welch(variance_a: float, variance_b: float, n_a: int, n_b: int) -> Sizes:
    """Degrees of freedom by Welch and Satterthwaite: (u + v)^2 / (u^2 / (n_a - 1) + v^2 / (n_b - 1))."""
    u, v = variance_a / n_a, variance_b / n_b
    if u + v == 0:
        return Sizes(0.0, n_a + n_b - 2.0)
    share = u / (u + v)  # of shares, because squares of small variances would vanish
    return Sizes(math.sqrt(u + v), 1 / (share**2 / (n_a - 1) + (1 - share) ** 2 / (n_b - 1)))


def _power(gap: float, sizes: Sizes, confidence: float) -> float:
    """Of the two-sided test when the true difference is `gap`: the noncentral t beyond its bounds on both sides."""
    from scipy import stats

    bound = stats.t.ppf((1 + confidence) / 2, sizes.freedom)
    shift = abs(gap) / sizes.error
    return float(stats.nct.sf(bound, sizes.freedom, shift) + stats.nct.cdf(-bound, sizes.freedom, shift))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(_array(values)))


def _variance(values: Sequence[float]) -> float:
    return float(np.var(_array(values), ddof=1))


def _finite(values: Sequence[float]) -> bool:
    return bool(np.isfinite(_array(values)).all())


def _array(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)
