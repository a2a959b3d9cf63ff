"""One dimension: which values it has, what is in it, and how Optuna calls it. `is_whole`: of whole numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from webapp.sweeps.definition import Choices, Dimension, Plain, Range

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

BELOW_ONE = math.nextafter(1.0, 0.0)
SLACK = 1e-9  # of a step, for the rounding of 0.1 + 0.2


def contains(dimension: Dimension, value: Any, is_whole: bool) -> bool:
    if isinstance(dimension, Choices):
        return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in dimension.choices)
    if isinstance(value, bool) or not isinstance(value, int | float) or not dimension.low <= value <= dimension.high:
        return False
    if is_whole and value != int(value):
        return False
    if dimension.step is None:
        return True
    steps = (value - dimension.low) / dimension.step
    return abs(steps - round(steps)) < SLACK * max(1.0, abs(steps))


def step_of(dimension: Range, is_whole: bool) -> float | None:
    """Between neighbours; None for a continuous range."""
    return dimension.step or (1.0 if is_whole else None)


def size(dimension: Dimension, is_whole: bool) -> float:
    """How many values it has: infinity for a continuous range."""
    if isinstance(dimension, Choices):
        return len(dimension.choices)
    step = step_of(dimension, is_whole)
    if dimension.low == dimension.high:
        return 1
    return math.inf if step is None else math.floor((_high(dimension, is_whole) - _low(dimension, is_whole)) / step
                                                    + SLACK) + 1  # fmt: skip


def values(dimension: Dimension, is_whole: bool, points: int | None = None) -> list[Plain]:
    """All of them in order; of a range without a step that has more than `points`, so many, evenly spread.

    Evenly in the logarithm where the range is one. Raises ValueError for a continuous range without `points`.
    """
    if isinstance(dimension, Choices):
        return list(dimension.choices)
    count = size(dimension, is_whole)
    if points is not None and dimension.step is None and count > points:
        spread = (float(f"{_between(dimension, index / max(points - 1, 1)):.12g}") for index in range(points))
        return list(dict.fromkeys(_rounded(value, dimension, is_whole) for value in spread))
    if math.isinf(count):
        raise ValueError("a continuous range has no list of values")
    step = step_of(dimension, is_whole) or 0.0
    return [_rounded(_low(dimension, is_whole) + index * step, dimension, is_whole) for index in range(int(count))]


def placed(dimension: Dimension, share: float, is_whole: bool) -> Plain:
    """The value at a share in [0, 1) of it: an even share gives a uniform (or log-uniform) value."""
    if isinstance(dimension, Choices):
        return dimension.choices[int(share * len(dimension.choices))]
    count = size(dimension, is_whole)
    if dimension.log and is_whole:  # every whole number owns what is rounded to it
        low, high = math.log(_low(dimension, True) - 0.5), math.log(_high(dimension, True) + 0.5)
        return _rounded(math.exp(low + share * (high - low)), dimension, True)
    if math.isinf(count):
        return _rounded(_between(dimension, share), dimension, is_whole)
    step = step_of(dimension, is_whole) or 0.0
    return _rounded(_low(dimension, is_whole) + int(share * count) * step, dimension, is_whole)


def distribution(dimension: Dimension, is_whole: bool) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choices):
        return CategoricalDistribution(dimension.choices)
    low, high, step = _low(dimension, is_whole), _high(dimension, is_whole), dimension.step
    if is_whole:
        spacing = int(step or 1)
        return IntDistribution(int(low), int(high - (high - low) % spacing), log=dimension.log, step=spacing)
    if step is not None:  # Optuna wants the last step to end at high
        high = max(low, _rounded(low + (size(dimension, False) - 1) * step, dimension, False))
    return FloatDistribution(low, high, log=dimension.log, step=step if high > low else None)


def _low(dimension: Range, is_whole: bool) -> float:
    return math.ceil(dimension.low) if is_whole else dimension.low


def _high(dimension: Range, is_whole: bool) -> float:
    return math.floor(dimension.high) if is_whole else dimension.high


def _between(dimension: Range, share: float) -> float:
    if dimension.log:
        return float(dimension.low * (dimension.high / dimension.low) ** share)
    return dimension.low + share * (dimension.high - dimension.low)


def _rounded(value: float, dimension: Range, is_whole: bool) -> float | int:
    """Inside the range; whole, or free of the noise of adding steps (0.30000000000000004)."""
    if is_whole:
        return int(min(max(round(value), _low(dimension, True)), _high(dimension, True)))
    return float(min(max(float(f"{value:.12g}") if dimension.step else value, dimension.low), dimension.high))


def share(dimension: Range, value: float, is_whole: bool) -> float:
    """Where a number lies in its range, in [0, 1): `placed` gives it back. One of a list lies in the middle."""
    low, high, count = _low(dimension, is_whole), _high(dimension, is_whole), size(dimension, is_whole)
    if dimension.log and is_whole:
        low, high = low - 0.5, high + 0.5
    elif math.isfinite(count):
        return (round((value - low) / (step_of(dimension, is_whole) or 1.0)) + 0.5) / count
    found = math.log(value / low) / math.log(high / low) if dimension.log else (value - low) / (high - low)
    return min(max(found, 0.0), BELOW_ONE)
