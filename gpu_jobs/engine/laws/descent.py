"""Minimises the objective of many parameter vectors at once: BFGS, each vector with its own matrix and its own step.

The first matrix is the inverse of J^T W J (Gauss-Newton with the weights of reweighted least squares, damped as
Levenberg and Marquardt do), so the first step has the right size; when a search fails the matrix is made anew, once.
Vectors that have arrived leave the batch. Each row may weigh the points by its own counts.
"""

from __future__ import annotations

import numpy as np

from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.engine.laws.problem import Counts, Problem, blocks

ROUNDS, TOLERANCE = 400, 1e-13
LONGEST = 2.0  # of a step, in any parameter's fitted scale
ARMIJO, HALVINGS = 1e-4, 20
DAMPING = 1e-3
PATIENCE = 3  # rounds without progress after which a vector has arrived


def descend(
    problem: Problem,
    vectors: Array,
    counts: Counts | None = None,
    *,
    rounds: int = ROUNDS,
    tolerance: float = TOLERANCE,
    held: Array | None = None,
) -> tuple[Array, Array]:
    """The vectors at the end of their descent, and the scaled objective there. Never worse than where they began.

    `held`, (batch,), is a parameter of each vector that does not move.
    """
    found, values = np.array(vectors, float), np.empty(len(vectors))
    for rows in blocks(len(vectors), problem.points):
        here = None if held is None else held[rows]
        batch = _Batch(problem.at(rows), found[rows], None if counts is None else counts(rows), here)
        for _ in range(rounds):
            if not len(batch.open):
                break
            batch.step(tolerance)
        found[rows], values[rows] = batch.vectors, batch.values
    return found, values


class _Batch:
    """One block of vectors. `open` are those that still move."""

    def __init__(self, problem: Problem, vectors: Array, counts: Array | None, held: Array | None) -> None:
        self.problem, self.vectors, self.counts = problem, vectors, counts
        self.moves = np.ones(vectors.shape)
        if held is not None:
            self.moves[np.arange(len(held)), held] = 0.0
        self.values, self.gradients = problem.slope(vectors, counts)
        self.gradients *= self.moves
        self.inverse = np.zeros((*vectors.shape, vectors.shape[1]))
        self.idle = np.zeros(len(vectors), int)
        self.fresh = np.ones(len(vectors), bool)
        self.open = np.flatnonzero(np.isfinite(self.values))
        self._precondition(self.open)

    def step(self, tolerance: float) -> None:
        """One update of every vector that still moves."""
        rows = self.open
        directions, descents = self._directions(rows)
        before, gradients = self.values[rows].copy(), self.gradients[rows].copy()
        lengths = self._search(rows, directions, descents)
        moved = lengths > 0
        self._update(
            rows[moved], (lengths[:, None] * directions)[moved], self.gradients[rows[moved]] - gradients[moved]
        )
        small = before - self.values[rows] <= tolerance * np.abs(before)
        self.idle[rows] = np.where(small, self.idle[rows] + 1, 0)
        stuck = ~moved & ~self.fresh[rows]
        self.fresh[rows[moved]] = False
        self._precondition(rows[stuck])
        finished = (self.idle[rows] >= PATIENCE) | (~moved & ~stuck)
        self.open = rows[~finished]

    def _directions(self, rows: Array) -> tuple[Array, Array]:
        """Where to go, no farther than LONGEST, and the slopes there."""
        gradients = self.gradients[rows]
        directions = -np.einsum("bij,bj->bi", self.inverse[rows], gradients)
        descents = np.einsum("bi,bi->b", directions, gradients)
        uphill = ~(descents < 0)
        directions[uphill] = -gradients[uphill]
        descents[uphill] = -(gradients[uphill] ** 2).sum(1)
        sizes = np.maximum(np.abs(directions).max(1), 1e-300)
        shrink = np.minimum(1.0, LONGEST / sizes)
        return directions * shrink[:, None], descents * shrink

    def _search(self, rows: Array, directions: Array, descents: Array) -> Array:
        """Goes along the directions until the objective has fallen enough; 0 where it does not."""
        lengths, taken = np.ones(len(rows)), np.zeros(len(rows))
        seeking = np.arange(len(rows))
        for _ in range(HALVINGS):
            at = rows[seeking]
            trial = self.vectors[at] + lengths[seeking, None] * directions[seeking]
            values, gradients = self.problem.at(at).slope(trial, None if self.counts is None else self.counts[at])
            gradients *= self.moves[at]
            falls = values <= self.values[at] + ARMIJO * lengths[seeking] * descents[seeking]
            falls &= values < self.values[at]
            good = at[falls]
            self.vectors[good], self.values[good], self.gradients[good] = trial[falls], values[falls], gradients[falls]
            taken[seeking[falls]] = lengths[seeking[falls]]
            before = self.values[at[~falls]]
            seeking, values = seeking[~falls], values[~falls]
            if not len(seeking):
                break
            length, descent = lengths[seeking], descents[seeking]
            with np.errstate(all="ignore"):
                best = -0.5 * descent * length**2 / (values - before - descent * length)
            lengths[seeking] = np.clip(np.where(np.isfinite(best), best, 0.0), 0.1 * length, 0.5 * length)
        return taken

    def _update(self, rows: Array, steps: Array, changes: Array) -> None:
        """The BFGS update of the inverse matrices, where the gradient grew along the step."""
        growth = np.einsum("bi,bi->b", steps, changes)
        enough = growth > 1e-12 * np.linalg.norm(steps, axis=1) * np.linalg.norm(changes, axis=1)
        rows, s, y, growth = rows[enough], steps[enough], changes[enough], growth[enough]
        matrix = self.inverse[rows]
        pushed = np.einsum("bij,bj->bi", matrix, y)
        factor = (1.0 + np.einsum("bi,bi->b", y, pushed) / growth) / growth
        cross = pushed[:, :, None] * s[:, None, :]
        along = factor[:, None, None] * (s[:, :, None] * s[:, None, :])
        self.inverse[rows] = matrix + along - (cross + cross.transpose(0, 2, 1)) / growth[:, None, None]

    def _precondition(self, rows: Array) -> None:
        """The inverse of the damped Gauss-Newton matrix."""
        if not len(rows):
            return
        found = self.problem.at(rows).curvature(self.vectors[rows], None if self.counts is None else self.counts[rows])
        moves = self.moves[rows]
        found = found * moves[:, None, :] * moves[:, :, None]
        diagonal = np.einsum("bii->bi", found)
        floor = 1e-12 * np.maximum(diagonal.max(1, keepdims=True), 1e-200)
        damped = found + DAMPING * np.eye(found.shape[1]) * np.maximum(diagonal, floor)[:, :, None]
        good = np.isfinite(damped).all((1, 2))
        damped[~good] = np.eye(found.shape[1])
        scale = 1.0 / np.sqrt(np.einsum("bii->bi", damped))  # a unit diagonal first: entries span many decades
        unit = damped * scale[:, :, None] * scale[:, None, :]
        self.inverse[rows] = np.linalg.inv(unit) * scale[:, :, None] * scale[:, None, :]
        self.fresh[rows] = True
