"""L(D) = E + A D^-b through measured losses, and its inverse."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class PowerLaw(NamedTuple):
    floor: float  # E
    factor: float  # A
    exponent: float  # b

    def at(self, amount: float) -> float:
        return float(self.floor + self.factor * amount**-self.exponent)

    def inverse(self, loss: float) -> float | None:
        """The amount at which the law has this loss; None at or below its floor."""
        if loss <= self.floor or self.exponent <= 0 or self.factor <= 0:
            return None
        logarithm = math.log(self.factor / (loss - self.floor)) / self.exponent
        return math.exp(logarithm) if logarithm < 700 else None


def fit(amounts: Sequence[float], losses: Sequence[float]) -> PowerLaw | None:
    """Least squares of log(L - E) over log D, with the best E in [0, min L); with two amounts E is 0.

    None of fewer than two amounts or where no loss is above 0. For E given, the rest is a straight line.
    """
    x, y = np.log(np.asarray(amounts, float)), np.asarray(losses, float)
    if len(set(amounts)) < 2 or not (y > 0).all():
        return None

    def line(floor: float) -> tuple[float, float, float]:
        slope, offset = np.polyfit(x, np.log(y - floor), 1)
        residual = np.sum((floor + np.exp(offset + slope * x) - y) ** 2)
        return float(residual), float(slope), float(offset)

    floor = _best_floor(line, float(y.min())) if len(set(amounts)) > 2 else 0.0
    _, slope, offset = line(floor)
    return PowerLaw(floor, math.exp(offset), -slope)


def _best_floor(line: Callable[[float], tuple[float, float, float]], lowest: float) -> float:
    from scipy.optimize import minimize_scalar

    shares = np.concatenate([[0.0], 1 - np.logspace(-0.01, -6, 60)])
    residuals = [line(share * lowest)[0] for share in shares]
    best = int(np.argmin(residuals))
    low, high = shares[max(best - 1, 0)] * lowest, shares[min(best + 1, len(shares) - 1)] * lowest
    found = minimize_scalar(
        lambda floor: line(floor)[0],
        bounds=(low, high), method="bounded", options={"xatol": 1e-12 * max(lowest, 1e-300)},
    )  # fmt: skip
    return float(found.x) if found.fun < residuals[best] else float(shares[best] * lowest)
