"""What is minimised, as a sum over points of rho(residual), scaled so that it is about 1 a point near a good fit.

`Loss.scale` times the scaled sum is the objective that is stated. A mean, or a sum of tiny numbers, would make the
usual tolerances of an optimiser stop far from the optimum.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]  # of float64, or of places
SHARPEST = 1e-7  # the delta with which least absolute deviations are descended, before they are solved exactly


class Loss(NamedTuple):
    """Huber with `delta` where it is finite, else squares; of logarithms where `logs`."""

    delta: float
    logs: bool
    scale: float
    exact_l1: bool = False

    def rho(self, residuals: Array) -> Array:
        """Each point's part of the scaled sum."""
        if not np.isfinite(self.delta):
            return residuals * residuals
        size = np.abs(residuals)
        inner = np.minimum(size, self.delta)
        return inner * (size - 0.5 * inner) / self.delta

    def psi(self, residuals: Array) -> Array:
        """Its derivative."""
        if not np.isfinite(self.delta):
            return 2.0 * residuals
        return np.clip(residuals, -self.delta, self.delta) / self.delta

    def weights(self, residuals: Array) -> Array:
        """psi(r) / r: those of iteratively reweighted least squares."""
        if not np.isfinite(self.delta):
            return np.full_like(residuals, 2.0)
        return 1.0 / np.maximum(np.abs(residuals), self.delta)

    def stated(self, residuals: Array, counts: Array | float = 1.0) -> Array:
        """The objective as its authors write it: of least absolute deviations exactly."""
        if self.exact_l1:
            return np.asarray((counts * np.abs(residuals)).sum(-1))
        return np.asarray(self.scale * (counts * self.rho(residuals)).sum(-1))


def loss_of(objective: Any) -> Loss:
    """Of an objective as the spec has it."""
    match objective.name:
        case "huber_log":
            return Loss(objective.delta, True, objective.delta)
        case "l1_log":
            return Loss(SHARPEST, True, 1.0, exact_l1=True)
    return Loss(np.inf, objective.name == "least_squares_log", 1.0)
