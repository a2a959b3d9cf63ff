"""A second law behind the first: fitted to measured values, then foreseen through the first one's predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gpu_jobs.context import Context
from gpu_jobs.engine.laws import doubts
from gpu_jobs.engine.laws.fitted import bands
from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.engine.laws.part import Part, judged
from gpu_jobs.engine.laws.telling import told

if TYPE_CHECKING:
    from gpu_jobs.kinds.scaling_fit import Chained, Spec


def chained(
    spec: Spec, context: Context, first: Part, then: Chained, result: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """(what is told of the second law, its draws); `result` is what was told of the first."""
    second = Part(spec, context, then.law, then.objective, then.points or spec.points)
    found = told(second, [])
    link = first.law.target
    found["predictions"] = [
        {"at": each["at"], **_through(first, second, each["at"], link), "extrapolation": each["extrapolation"]}
        for each in result["predictions"]
    ]
    if second.rule is not None:
        found["holdout"] = _held_out_through(first, second, link)
    found["warnings"] = [each for each in found["warnings"] if each["code"] != "holdout_missed"]
    found["warnings"] += doubts.holdout_doubts(found["holdout"])
    return found, second.fit.draws()


def _through(first: Part, second: Part, at: Mapping[str, float], link: str) -> dict[str, Any]:
    """The second law at the first's prediction; draws are paired one to one."""
    given = {name: np.array([at[name]], float) for name in first.law.variables}
    rest = {name: np.array([at[name]], float) for name in second.law.variables if name != link}
    middle = first.problem.predict(first.fit.known.best[None], given)[0]
    value = second.problem.predict(second.fit.known.best[None], {link: middle, **rest})[0, 0]
    found: dict[str, Any] = {"value": float(value), "band": None, "interval": None}
    if first.fit.has_draws and second.fit.has_draws and second.fit.vectors is not None:
        middles = first.fit.curves(given)[:, 0]
        curves = [
            second.problem.predict(vector[None], {link: middles[[row]], **rest})[0]
            for row, vector in enumerate(second.fit.vectors)
        ]
        found |= bands(second.fit, np.array(curves))[0]
    return found


def _held_out_through(first: Part, second: Part, link: str) -> dict[str, Any]:
    table = second.held_out
    names = [*first.law.variables, *(name for name in second.law.variables if name != link)]
    at = {name: np.asarray(table.columns[name], float) for name in names}
    each = [
        _through(first, second, {name: column[index] for name, column in at.items()}, link)
        for index in range(len(table.rows))
    ]
    predicted = np.array([found["value"] for found in each])
    around = [{"band": found["band"], "interval": found["interval"]} for found in each]
    said = f"{second.rule}, from the first law's prediction of {link}"
    return judged(said, at, table.columns[second.law.target], predicted, around, table.runs)
