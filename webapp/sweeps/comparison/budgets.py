"""Whether the groups really had the same of what is said to be held equal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median

from webapp.sweeps.comparison.measured import BUDGETS
from webapp.sweeps.comparison.results import Budget


def budget(axis: str, tolerance: float, amounts: Mapping[int, float | None], baseline: int | None) -> Budget:
    """`amounts`: of each group by key. Ratios are to the baseline's, or to the median where the baseline has none."""
    known = {key: value for key, value in amounts.items() if value}
    unknown = [key for key, value in amounts.items() if not value]
    if not known:
        sentence = f"{BUDGETS[axis].label} of no group is measured: whether the budget is equal can't be said."
        return Budget(axis=axis, tolerance=tolerance, unknown=unknown, sentence=sentence)
    found = _ratios(known, baseline)
    outside = [key for key, ratio in found.items() if abs(ratio - 1) > tolerance * (1 + 1e-9)]
    low, high = min(found.values()), max(found.values())
    whose = "the baseline's" if baseline in known else "the median"
    told = f"{BUDGETS[axis].label} {_words(low, high, whose, is_equal=not outside)}"
    told += f"; not measured of {len(unknown)} of {len(amounts)} groups." if unknown else "."
    return Budget(
        axis=axis,
        tolerance=tolerance,
        low=low,
        high=high,
        is_equal=not outside,
        ratios=found,
        outside=outside,
        unknown=unknown,
        sentence=told,
    )


def _ratios(known: Mapping[int, float], baseline: int | None) -> dict[int, float]:
    reference = known[baseline] if baseline is not None and baseline in known else median(known.values())
    return {key: value / reference for key, value in known.items()}


def _words(low: float, high: float, whose: str, *, is_equal: bool) -> str:
    off = max(1 - low, high - 1)
    if off < 1e-9:
        return "exactly equal"
    if is_equal:
        return f"equal within {_percent(off)} %"
    return f"not equal: {_times(low)} to {_times(high)} {whose}"


def _percent(share: float) -> str:
    """Rounded up: it is a bound."""
    places = 0 if share >= 0.01 else 2
    scale: int = 10**places
    return f"{math.ceil(share * 100 * scale - 1e-6) / scale:g}"


def _times(ratio: float) -> str:
    return f"{ratio:.1f}x" if ratio >= 0.1 else f"{ratio:.2g}x"
