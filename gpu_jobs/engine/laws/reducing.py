"""Laws that go through optima instead of points (isoflop, envelope): what each resample is reduced to, then fitted.

The optima of a resample differ in number and place, so resamples are reduced and fitted one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gpu_jobs import registry
from gpu_jobs.engine.laws import bootstrap as resampling
from gpu_jobs.engine.laws.fitted import Fitted
from gpu_jobs.engine.laws.minima import minima
from gpu_jobs.engine.laws.objectives import Array, Loss
from gpu_jobs.engine.laws.problem import Problem
from gpu_jobs.engine.laws.table import Table
from gpu_jobs.errors import DataError
from gpu_jobs.law import LawKnobs

if TYPE_CHECKING:
    from gpu_jobs.kinds.scaling_fit import Spec

POLISH = 5


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


def fitted(problem: Problem, points: Table, labels: Sequence[Any] | None, spec: Spec) -> Fitted:
    """The optimum, and the refit of every resample of the points."""
    known = minima(problem, spec.polish)
    members = resampling.units(labels, len(points.rows))
    count, law = int(members.max()) + 1, problem.knobs
    if not spec.bootstrap.resamples:
        return Fitted(problem, known, None, spec.bootstrap, spec.seed, count)
    drawn = resampling.draws(members, spec.bootstrap.resamples, spec.seed)
    found = [_refit(law, points.take(np.repeat(np.arange(len(members)), row[members])), problem.loss) for row in drawn]
    return Fitted(problem, known, np.array(found), spec.bootstrap, spec.seed, count)


def _refit(law: LawKnobs, points: Table, loss: Loss) -> Array:
    """NaN where a resample leaves too few optima."""
    try:
        table = reduce(law, points)
        assert table is not None
        if len(table.rows) < len(law.free):
            return np.full(len(law.free), np.nan)
        return minima(Problem(law, table.variables(law), table.columns[law.target], loss), POLISH).best
    except DataError:
        return np.full(len(law.free), np.nan)
