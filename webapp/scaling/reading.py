"""What a fit says: of its own points, of any other point and of any budget; from the run's result and its draws.

The numbers are the run's own. Bands and intervals are found as the fit found them (engine.laws.fitted), from the same
draws and the same noise; of more than 1,000 draws only so many are used, so they may differ a little then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from gpu_jobs import registry
from gpu_jobs import spec as specs
from webapp.metrics.points import Float64
from webapp.runs.models import Run
from webapp.runs.states import Status
from webapp.scaling.draws import Draws, drawn

if TYPE_CHECKING:
    from gpu_jobs.engine.laws.fitted import Fitted
    from gpu_jobs.engine.laws.problem import Problem

KIND = "scaling_fit"
CHAIN = "then."  # what the names of the second law's draws begin with


class Foreseen(NamedTuple):
    """(points,) each. The band is the curve's, the interval one new measurement's; NaN without draws."""

    value: Float64
    band_low: Float64
    band_high: Float64
    interval_low: Float64
    interval_high: Float64


class Optimum(NamedTuple):
    """(budgets,) each: the best N and D, and the loss there, NaN where the law does not tell it."""

    compute: Float64
    N: Float64
    N_low: Float64
    N_high: Float64
    D: Float64
    D_low: Float64
    D_high: Float64
    loss: Float64
    loss_low: Float64
    loss_high: Float64


@dataclass(frozen=True)
class Reading:
    """`draws` (n,) by name, free parameters and derived numbers; {} without, and then `notice` may say why."""

    run: Run
    spec: Any
    law: Any
    objective: Any
    result: Mapping[str, Any]
    draws: Mapping[str, Float64]
    chained: Mapping[str, Float64]  # those of the law behind this one
    notice: str = ""

    @cached_property
    def parameters(self) -> dict[str, float]:
        """Free and fixed, in the law's order."""
        return {each.name: _number(self.result["parameters"].get(each.name)) for each in self.law.parameters}

    @cached_property
    def points(self) -> dict[str, Float64]:
        """What was read of the fitted points: the law's variables, its target, and C where it is known."""
        return _columns(self.result["points"]["columns"])

    @cached_property
    def through(self) -> dict[str, Float64]:
        """What the law goes through: the points, or the optima that a law like isoflop makes of them."""
        return _columns(self.result["reduced"]["columns"]) if self.result["reduced"] else self.points

    @property
    def runs(self) -> Sequence[Any] | None:
        """Of each of `points`; None where they come from a table without them."""
        found: Sequence[Any] | None = self.result["points"]["runs"]
        return found

    @property
    def rows(self) -> Sequence[int]:
        """Of each of `points`: its place in the source."""
        found: Sequence[int] = self.result["points"]["rows"]
        return found

    @property
    def held_out(self) -> Sequence[Mapping[str, Any]]:
        """at, run, measured, predicted, band, interval, relative_error, inside"""
        found: Sequence[Mapping[str, Any]] = self.result["holdout"]["points"] if self.result["holdout"] else []
        return found

    @property
    def level(self) -> float:
        """What share of the draws a band holds."""
        return float(self.spec.bootstrap.level)

    @property
    def title(self) -> str:
        return registry.method_of(self.law).title

    @property
    def has_optimum(self) -> bool:
        """Whether it tells the best N and D of a budget."""
        reads_both = {"N", "D"} <= set(self.law.variables) or self.law.target == "N_opt"
        return reads_both and hasattr(registry.method_of(self.law).module, "optimum")

    @property
    def then(self) -> Reading | None:
        """The chained law, at measured values of the first one's target."""
        if self.spec.then is None or not self.result["then"]:
            return None
        then, result = self.spec.then, {"then": None, **self.result["then"]}
        return Reading(self.run, self.spec, then.law, then.objective, result, self.chained, {}, self.notice)

    def problem(self) -> Problem:
        """The law on its points, for engine.laws.planning. Raises DataError where they don't suit the objective."""
        from gpu_jobs.engine.laws.objectives import loss_of
        from gpu_jobs.engine.laws.problem import Problem

        variables = {name: self.through[name] for name in self.law.variables}
        return Problem(self.law, variables, self.through[self.law.target], loss_of(self.objective))

    @cached_property
    def fitted(self) -> Fitted:
        """As the engine has it. `fitted.known.best` is the optimum in the fitted scale, (free,)"""
        from gpu_jobs.engine.laws.fitted import Fitted
        from gpu_jobs.engine.laws.minima import Minima

        problem = self.problem()
        best = problem.fitted(self.parameters)[None]
        known = Minima(best, np.array([_number(self.result["objective"]["value"])]), best, 0, 0)
        units = (self.result["bootstrap"] or {"units": problem.points})["units"]
        return Fitted(problem, known, self._vectors(), self.spec.bootstrap, self.spec.seed, units)

    def _vectors(self) -> Float64 | None:
        """The draws in the fitted scale, (draws, free); None where there are too few for an interval."""
        free = self.law.free
        if not free or any(each.name not in self.draws for each in free):
            return None
        with np.errstate(all="ignore"):
            columns = [np.log(self.draws[e.name]) if e.log else self.draws[e.name] for e in free]
        vectors = np.column_stack(columns)
        return vectors if np.isfinite(vectors).all(1).sum() >= 20 else None

    @property
    def has_draws(self) -> bool:
        return self.fitted.has_draws

    def predict(self, at: Mapping[str, Any]) -> Float64:
        """The target at the points `at`, (points,); NaN where the law has no value."""
        return np.asarray(self._values(self.fitted.known.best[None], _table(at))[0], np.float64)

    def curves(self, at: Mapping[str, Any]) -> Float64:
        """What each draw says, (draws, points); none of them, (0, points), without draws."""
        table, vectors = _table(at), self.fitted.vectors
        return np.empty((0, len(next(iter(table.values()))))) if vectors is None else self._values(vectors, table)

    def _values(self, vectors: Float64, at: Mapping[str, Float64]) -> Float64:
        found = self.fitted.problem.predict(vectors, {name: at[name] for name in self.law.variables})
        return np.asarray(np.where(np.isfinite(found), found, np.nan), np.float64)

    def foreseen(self, at: Mapping[str, Any]) -> Foreseen:
        """The same for the same points: the noise of new measurements has the seed of the fit."""
        value, curves = self.predict(at), self.curves(at)
        return Foreseen(value, *ends(curves, self.level), *ends(self.fitted.measured(curves), self.level))

    def band(self, at: Mapping[str, Any]) -> tuple[Float64, Float64, Float64]:
        """(value, low, high): `foreseen` without its intervals, in half the time."""
        return self.predict(at), *ends(self.curves(at), self.level)

    def optimum(self, budgets: Any) -> Optimum | None:
        """Of budgets in FLOPs, as the run's `frontier` has it; None for a law that does not tell."""
        if not self.has_optimum:
            return None
        compute = np.atleast_1d(np.asarray(budgets, np.float64))
        fitted = self.fitted
        size, tokens = (side[0] for side in self._split(fitted.known.best[None], compute))
        vectors = np.empty((0, len(self.law.free))) if fitted.vectors is None else fitted.vectors
        sides = [ends(side, self.level) for side in self._split(vectors, compute)]
        loss = (
            (np.full(len(compute), np.nan),) * 3 if self.law.target != "loss" else self.band({"N": size, "D": tokens})
        )
        return Optimum(compute, size, *sides[0], tokens, *sides[1], *loss)

    def _split(self, vectors: Float64, compute: Float64) -> tuple[Float64, Float64]:
        """The best (N, D) of each vector, (batch, budgets) each."""
        natural = self.fitted.problem.natural(vectors)
        params: dict[str, Any] = {each.name: natural[:, [index]] for index, each in enumerate(self.law.free)}
        held = {name: np.full((1, 1), value) for name, value in self.law.fixed.items()}
        with np.errstate(all="ignore"):
            found = registry.method_of(self.law).module.optimum(self.law, {**held, **params}, compute)
        size, tokens = (np.broadcast_to(side, (len(vectors), len(compute))) for side in found)
        return size, tokens


def read(run: Run) -> Reading | None:
    """None unless it is a fit that has succeeded and whose law is still known."""
    if run.kind != KIND or run.status != Status.SUCCEEDED or not run.result:
        return None
    try:
        spec = specs.parse(run.spec)
    except ValidationError:  # the law or one of its knobs is gone from this version
        return None
    return of(run, spec, drawn(run))


def of(run: Run, spec: Any, found: Draws) -> Reading:
    """The reading of a run's result with these draws."""
    own = {name: values for name, values in found.values.items() if not name.startswith(CHAIN)}
    chained = {name.removeprefix(CHAIN): values for name, values in found.values.items() if name not in own}
    notice = found.notice if spec.bootstrap.resamples else "The fit was asked for no resamples: no bands."
    return Reading(run, spec, spec.law, spec.objective, run.result or {}, own, chained, notice)


def ends(values: Float64, level: float) -> tuple[Float64, Float64]:
    """The percentile interval of each column of (draws, points); NaN with fewer than 20 finite draws."""
    from gpu_jobs.engine.laws.bootstrap import quantiles

    if len(values) >= 20 and np.isfinite(values).all():
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high
    pairs = [quantiles(values[:, index], level) or (np.nan, np.nan) for index in range(values.shape[1])]
    return np.array([low for low, _ in pairs], np.float64), np.array([high for _, high in pairs], np.float64)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _columns(columns: Mapping[str, Sequence[Any]]) -> dict[str, Float64]:
    return {name: np.array([_number(value) for value in values]) for name, values in columns.items()}


def _table(at: Mapping[str, Any]) -> dict[str, Float64]:
    """Columns of one length."""
    names = list(at)
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(at[name], np.float64)) for name in names))
    return dict(zip(names, columns, strict=True))
