"""How far a benchmark tells models apart: signal, noise, decisions, and how a score behaves over seeds and training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

RESAMPLES = 2000


def signal(scores: Sequence[float]) -> float | None:
    """The largest difference of two models over their mean (Signal and Noise, Heineman et al. 2025)."""
    return _relative(max(scores) - min(scores), scores) if scores else None


def noise(checkpoints: Sequence[float]) -> float | None:
    """Standard deviation over mean of one model's late checkpoints; None of fewer than two."""
    return _relative(float(np.std(checkpoints)), checkpoints) if len(checkpoints) > 1 else None


def ratio(signal: float | None, noise: float | None) -> float | None:
    """Signal over noise. No signal is 0; a signal without any noise has no ratio."""
    if signal is None or noise is None:
        return None
    return 0.0 if signal == 0 else signal / noise if noise > 0 else None


def decision_accuracy(small: Sequence[float], target: Sequence[float]) -> float | None:
    """The share of pairs of models that both scales order alike; None of fewer than two models."""
    pairs = list(combinations(range(len(small)), 2))
    alike = [(small[i] > small[j]) == (target[i] > target[j]) for i, j in pairs]
    return sum(alike) / len(alike) if alike else None


def monotonicity(values: Sequence[float], sign: float = 1.0) -> float | None:
    """Kendall's tau-b of a score and its step, 1 when it only ever improves; `sign` is 1 where less is better.

    None of fewer than two values, or when nothing changes (Quantifying Variance, Madaan et al. 2024).
    """
    from scipy.stats import kendalltau

    if len(values) < 2 or len(set(values)) < 2:
        return None
    return float(kendalltau(np.arange(len(values)), -sign * np.asarray(values, float)).statistic)


def bootstrap(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """An interval of the mean by bias-corrected resampling; None of fewer than three. The same values give the same."""
    found = np.sort(np.asarray(values, float))
    if len(found) < 3 or found[0] == found[-1]:
        return None if len(found) < 3 else (float(found[0]), float(found[-1]))
    from scipy.stats import bootstrap as resampled

    told = resampled((found,), np.mean, n_resamples=RESAMPLES, confidence_level=confidence, method="BCa", rng=0)
    low, high = told.confidence_interval
    return (float(low), float(high)) if math.isfinite(low) and math.isfinite(high) else None


def _relative(spread: float, scores: Sequence[float]) -> float | None:
    centre = abs(float(np.mean(scores)))
    return spread / centre if centre > 0 else None
