"""Laws that go through optima instead of points (isoflop, envelope): what each resample is reduced to, then fitted.

The optima of resamples differ in number and place: each row of the batch has its own points, and those that a resample
does not have weigh nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpu_jobs import registry
from gpu_jobs.engine.laws import bootstrap as resampling
from gpu_jobs.engine.laws.bootstrap import CANDIDATES, ROUNDS, TOLERANCE
from gpu_jobs.engine.laws.descent import descend
from gpu_jobs.engine.laws.fitted import Fitted
from gpu_jobs.engine.laws.minima import Minima, minima
from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.engine.laws.problem import Problem
from gpu_jobs.engine.laws.table import Table
from gpu_jobs.law import LawKnobs

if TYPE_CHECKING:
    from gpu_jobs.kinds.scaling_fit import Spec

LARGEST = 400_000  # resamples x rows (or levels) that are reduced at once


def needs(law: LawKnobs) -> list[str]:
    """The columns that are reduced; none for a law that goes through the points themselves."""
    return list(getattr(registry.method_of(law).module, "NEEDS", ()))


def reduce(law: LawKnobs, table: Table) -> Table | None:
    """The optima as a table; None for a law that goes through the points themselves."""
    module = registry.method_of(law).module
    if not hasattr(module, "reduce"):
        return None
    columns = module.reduce(law, {name: np.asarray(table.columns[name], float) for name in module.NEEDS})
    return Table(columns, np.arange(len(next(iter(columns.values())))), None)


@dataclass(frozen=True)
class Stacked(Problem):
    """Each row of a batch has its own points: `variables` and `target` are (batch, points)."""

    def at(self, rows: Any) -> Stacked:
        return Stacked(self.knobs, {n: each[rows] for n, each in self.variables.items()}, self.target[rows], self.loss)


def fitted(problem: Problem, points: Table, labels: Sequence[Any] | None, spec: Spec) -> Fitted:
    """The optimum, and the refit of every resample of the points."""
    known = minima(problem, spec.polish)
    members = resampling.units(labels, len(points.rows))
    count = int(members.max()) + 1
    if not spec.bootstrap.resamples:
        return Fitted(problem, known, None, spec.bootstrap, spec.seed, count)
    drawn = resampling.draws(members, spec.bootstrap.resamples, spec.seed)
    found = [refit(problem, known, points, drawn[rows][:, members]) for rows in _blocks(len(drawn), len(points.rows))]
    return Fitted(problem, known, np.concatenate(found), spec.bootstrap, spec.seed, count)


def _blocks(resamples: int, points: int) -> Iterator[slice]:
    step = max(1, LARGEST // max(points, 200))
    return (slice(start, start + step) for start in range(0, resamples, step))


def refit(problem: Problem, known: Minima, points: Table, drawn: Array) -> Array:
    """The optimum of each resample, (resamples, free), all at once; NaN where one leaves too few optima."""
    law, counts = problem.knobs, np.asarray(drawn, float)
    module = registry.method_of(law).module
    needed = {name: np.asarray(points.columns[name], float) for name in module.NEEDS}
    columns, present = module.reduce_all(law, needed, counts)
    filled = {name: np.where(present, columns[name], 1.0) for name in [*law.variables, law.target]}
    stack = Stacked(law, {name: filled[name] for name in law.variables}, filled[law.target], problem.loss)
    weights = present.astype(float)
    found, values = descend(
        stack, _nearest(stack, known, weights), lambda rows: weights[rows], rounds=ROUNDS, tolerance=TOLERANCE
    )
    found[~np.isfinite(values) | (present.sum(1) < len(law.free))] = np.nan
    return found


def _nearest(stack: Stacked, known: Minima, weights: Array) -> Array:
    """Of the known ends, that which is best for each resample."""
    ends = np.concatenate([known.vectors, known.ends])[:CANDIDATES]
    scores = [stack.slope(np.broadcast_to(end, (len(weights), len(end))), weights)[0] for end in ends]
    return np.asarray(ends[np.argmin(scores, axis=0)])
