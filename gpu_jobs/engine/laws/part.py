"""One law on its points: read, divided, fitted, and what it says of points that were not fitted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gpu_jobs.context import Context
from gpu_jobs.engine.laws import doubts, reducing
from gpu_jobs.engine.laws.fitted import Fitted, bands, fitted
from gpu_jobs.engine.laws.objectives import Array, loss_of
from gpu_jobs.engine.laws.problem import Problem
from gpu_jobs.engine.laws.profiling import Profile, profiles
from gpu_jobs.engine.laws.table import Table, divided, labels, read
from gpu_jobs.errors import DataError
from gpu_jobs.law import LawKnobs

if TYPE_CHECKING:
    from gpu_jobs.kinds.scaling_fit import Spec


class Part:
    """A spec has one, or two where a second law is chained to the first."""

    def __init__(self, spec: Spec, context: Context, law: LawKnobs, objective: Any, points: Any) -> None:
        began = time.perf_counter()
        self.spec, self.law, self.objective, self.source = spec, law, objective, points
        needs = reducing.needs(law) or [*law.variables, law.target]
        table = read(points, context, law, needs)
        self.fitted_rows, self.held_out, self.rule = divided(table, spec.holdout)
        self.reduced = reducing.reduce(law, self.fitted_rows)
        table = self.reduced or self.fitted_rows
        self.problem = Problem(law, table.variables(law), table.columns[law.target], loss_of(objective))
        self.warnings = doubts.check_number(self.problem.points, len(law.free), spec.few_points)
        self.fit = self._fit(table)
        self.profiles = self._profiles()
        self.vague = doubts.unidentified(self.problem, self.fit.known.best, self.fit.draws(), self.profiles or {})
        self.seconds = time.perf_counter() - began

    def _fit(self, table: Table) -> Fitted:
        unit, settings = self.spec.bootstrap.unit, self.source.setting_columns or list(self.law.variables)
        if self.reduced is None:
            drawn = labels(table, unit, settings)
            return fitted(self.problem, self.spec.bootstrap, self.spec.seed, self.spec.polish, drawn)
        drawn = labels(self.fitted_rows, unit, settings)
        return reducing.fitted(self.problem, self.fitted_rows, drawn, self.spec)

    def _profiles(self) -> dict[str, Profile] | None:
        """None of optima, which are not independent as points are."""
        if self.reduced is not None:
            return None
        return profiles(self.problem, self.fit.known, self.spec.bootstrap.level)

    @property
    def failed(self) -> int:
        """Resamples that have no fit."""
        vectors = self.fit.vectors
        return 0 if vectors is None else int((~np.isfinite(vectors).all(1)).sum())

    def parameters(self, vector: Array) -> dict[str, float]:
        """By name, free and fixed."""
        natural = dict(zip(self.problem.names, self.problem.natural(vector[None])[0].tolist(), strict=True))
        return {each.name: natural.get(each.name, self.law.fixed.get(each.name, 0.0)) for each in self.law.parameters}

    def predictions(self, asked: list[dict[str, float]]) -> list[dict[str, Any]]:
        """Value, band, interval and extrapolation of each asked point."""
        if not asked:
            return []
        variables = {name: np.array([point[name] for point in asked], float) for name in self.law.variables}
        values = self.problem.predict(self.fit.known.best[None], variables)[0]
        around = self.around(variables)
        return [
            {
                "at": dict(point),
                "value": float(values[index]),
                **around[index],
                "extrapolation": doubts.extrapolation(point, self.problem.variables),
            }
            for index, point in enumerate(asked)
        ]

    def around(self, variables: Mapping[str, Array]) -> list[dict[str, Any]]:
        """Band and interval of each point; null without draws."""
        if not self.fit.has_draws:
            return [{"band": None, "interval": None} for _ in next(iter(variables.values()))]
        return bands(self.fit, self.fit.curves(variables))

    def holdout(self) -> dict[str, Any] | None:
        """How far the law is out on the points that were held out; None where none was."""
        table = self.held_out
        if self.rule is None:
            return None
        if not len(table.rows):
            if self.spec.holdout is not None and self.spec.holdout.may_be_empty:
                return None
            raise DataError(f"holdout: {self.rule} are none: widen it")
        table = reducing.reduce(self.law, table) or table
        at, measured = table.variables(self.law), table.columns[self.law.target]
        predicted = self.problem.predict(self.fit.known.best[None], at)[0]
        return judged(self.rule, at, measured, predicted, self.around(at), table.runs)


def judged(
    said: str, at: Mapping[str, Array], measured: Array, predicted: Array, around: Any, runs: Any
) -> dict[str, Any]:
    """The holdout's part of a result."""
    errors = np.abs(predicted - measured) / np.abs(measured)
    points = [
        {
            "at": {name: float(column[index]) for name, column in at.items()},
            "run": None if runs is None else runs[index],
            "measured": float(value),
            "predicted": float(predicted[index]),
            **around[index],
            "relative_error": float(predicted[index] / value - 1),
            "inside": _is_inside(around[index]["interval"], value),
        }
        for index, value in enumerate(measured)
    ]
    known = [point["inside"] for point in points]
    return {
        "rule": said,
        "points": points,
        "mean_relative_error": float(errors.mean()),
        "max_relative_error": float(errors.max()),
        "inside": None if None in known else all(known),
    }


def _is_inside(pair: list[float] | None, value: float) -> bool | None:
    return None if pair is None else bool(pair[0] <= value <= pair[1])
