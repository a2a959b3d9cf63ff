"""The expected best of k draws without replacement, computed exactly from n results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def best_of_k(values: Sequence[float], k: int) -> float:
    """sum over r = k..n of C(r-1, k-1) / C(n, k) times the r-th smallest value. Raises ValueError unless 1 <= k <= n.

    The weights come from their ratio, w(r) / w(r+1) = 1 - (k-1) / r with w(n) = k / n, so nothing overflows at n = 1e4
    (ENAMEL, Qiu et al. 2024; calc_eff_at_k of its code).
    """
    n = len(values)
    if not 1 <= k <= n:
        raise ValueError(f"k must lie between 1 and the number of values, {n}, not {k}")
    ranks = np.arange(n - 1, k - 1, -1)
    weights = (k / n) * np.cumprod(np.concatenate([[1.0], 1 - (k - 1) / ranks]))  # (n-k+1,) from the largest down
    return float(weights @ np.sort(np.asarray(values, float))[::-1][: n - k + 1])


def efficiency(value: float | None, limit: float, reference: float) -> float:
    """max(0, (limit - value) / (limit - reference)): 1 is as good as the reference; without a value (censored): 0."""
    return 0.0 if value is None else max(0.0, (limit - value) / (limit - reference))
