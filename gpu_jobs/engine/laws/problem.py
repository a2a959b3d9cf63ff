"""A law on its points: residuals, objective, gradient and curvature of many parameter vectors at once.

Vectors are in the fitted scale (logarithms of parameters with `log`), (batch, free). `counts`, (batch, points), says
how often a resample has each point. Work is done in blocks of rows that stay in the processor's cache, so memory does
not grow with the number of vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gpu_jobs import registry
from gpu_jobs.engine.laws.objectives import Array, Loss
from gpu_jobs.errors import DataError
from gpu_jobs.law import LawKnobs
from gpu_jobs.smooth import Dual, plain

BLOCK = 120_000  # entries of one array: about 1 MB
Counts = Callable[[slice], Array]  # the counts of some rows, made when they are needed


@dataclass(frozen=True)
class Problem:
    """`variables` and `target` are (points,) each."""

    knobs: LawKnobs
    variables: Mapping[str, Array]
    target: Array
    loss: Loss

    def __post_init__(self) -> None:
        if self.loss.logs and not (self.target > 0).all():
            raise DataError(
                f"{self.knobs.target} must be positive for an objective of logarithms: the least is "
                f"{self.target.min():g}; choose least_squares"
            )

    @cached_property
    def _log_target(self) -> Array:
        return np.asarray(np.log(self.target))

    @property
    def names(self) -> list[str]:
        """The free parameters."""
        return [parameter.name for parameter in self.knobs.free]

    @property
    def points(self) -> int:
        return int(self.target.shape[-1])

    def at(self, rows: Any) -> Problem:
        """The problem of some rows of a batch: this one, as they all have these points (but see `reducing`)."""
        return self

    def natural(self, vectors: Array) -> Array:
        """In the parameters' own scale, (batch, free)"""
        logs = np.array([parameter.log for parameter in self.knobs.free], bool)
        with np.errstate(over="ignore"):
            return np.where(logs, np.exp(np.where(logs, vectors, 0.0)), vectors)

    def fitted(self, params: Mapping[str, float]) -> Array:
        """The vector of parameters by name, (free,)"""
        return np.array([np.log(params[each.name]) if each.log else params[each.name] for each in self.knobs.free])

    def params(self, vectors: Array) -> dict[str, Any]:
        """By name, duals of (batch, 1) each; fixed ones are numbers."""
        natural = self.natural(vectors)
        # Duals without derivatives, whose powers are exp(b ln a): three times as fast as numpy's.
        return {**self.knobs.fixed, **{name: Dual(natural[:, [index]], {}) for index, name in enumerate(self.names)}}

    def predict(self, vectors: Array, variables: Mapping[str, Array] | None = None) -> Array:
        """The target of each vector, (batch, points); NaN or infinite where the law has no value."""
        read = self.variables if variables is None else variables
        size = next(iter(read.values())).shape[-1]
        with np.errstate(all="ignore"):
            found = registry.method_of(self.knobs).module.predict(self.knobs, self.params(vectors), read)
        return np.broadcast_to(np.asarray(plain(found), float), (len(vectors), size))

    def residuals(self, vectors: Array) -> Array:
        """Measured minus predicted, or the difference of their logarithms, (batch, points)"""
        predicted = self.predict(vectors)
        with np.errstate(all="ignore"):
            return self._log_target - np.log(predicted) if self.loss.logs else self.target - predicted

    def score(self, vectors: Array) -> Array:
        """The scaled objective of each vector, (batch,); infinite where the law has no value."""
        found = np.empty(len(vectors))
        for rows in blocks(len(vectors), self.points):
            with np.errstate(all="ignore"):
                found[rows] = self.loss.rho(self.residuals(vectors[rows])).sum(1)
        return np.where(np.isfinite(found), found, np.inf)

    def _predicted(self, vectors: Array) -> tuple[Array, dict[int, Array]]:
        """The predictions and their derivatives by the free parameters."""
        natural = self.natural(vectors)
        duals = {
            each.name: Dual(natural[:, [index]], {index: natural[:, [index]] if each.log else np.ones((1, 1))})
            for index, each in enumerate(self.knobs.free)
        }
        found = registry.method_of(self.knobs).module.predict(self.knobs, {**self.knobs.fixed, **duals}, self.variables)
        return np.asarray(plain(found), float), dict(found.partials) if isinstance(found, Dual) else {}

    def jacobian(self, vectors: Array) -> tuple[Array, dict[int, Array]]:
        """Residuals and their derivatives by the free parameters, each broadcasting to (batch, points)."""
        residuals, inner, partials = self._parts(vectors)
        return residuals, {index: partial * inner for index, partial in partials.items()}

    def _parts(self, vectors: Array) -> tuple[Array, Array, dict[int, Array]]:
        """Residuals, their derivative by the prediction, and the prediction's by the free parameters."""
        predicted, partials = self._predicted(vectors)
        if not self.loss.logs:
            return self.target - predicted, np.array(-1.0), partials
        return self._log_target - np.log(predicted), -1.0 / predicted, partials

    def slope(self, vectors: Array, counts: Array | None = None) -> tuple[Array, Array]:
        """Scaled objective (batch,) and its gradient (batch, free). For one block of rows."""
        with np.errstate(all="ignore"):
            residuals, inner, partials = self._parts(vectors)
            rho, pull = self.loss.rho(residuals), self.loss.psi(residuals) * inner
            value = rho.sum(1) if counts is None else np.einsum("bn,bn->b", counts, rho)
            pull = pull if counts is None else pull * counts
            gradient = np.zeros(vectors.shape)
            for index, partial in partials.items():
                gradient[:, index] = np.einsum("bn,bn->b", pull, np.broadcast_to(partial, pull.shape))
        good = np.isfinite(value) & np.isfinite(gradient).all(1)
        return np.where(good, value, np.inf), np.where(good[:, None], gradient, 0.0)

    def curvature(self, vectors: Array, counts: Array | None = None) -> Array:
        """J^T W J with the weights of reweighted least squares, (batch, free, free). For one block of rows."""
        with np.errstate(all="ignore"):
            residuals, partials = self.jacobian(vectors)
            weights = self.loss.weights(residuals)
            matrix = stacked(partials, residuals.shape, vectors.shape[1])
            weighted = matrix * (weights if counts is None else weights * counts)[:, None, :]
            found = weighted @ matrix.transpose(0, 2, 1)
        return np.where(np.isfinite(found), found, 0.0)


def stacked(partials: Mapping[int, Array], shape: tuple[int, ...], free: int) -> Array:
    """The derivatives as one array, (batch, free, points)"""
    matrix = np.zeros((shape[0], free, shape[1]))
    for index, partial in partials.items():
        matrix[:, index] = partial
    return matrix


def blocks(rows: int, points: int) -> Iterator[slice]:
    """Slices of rows whose arrays stay small."""
    step = max(1, BLOCK // max(points, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
