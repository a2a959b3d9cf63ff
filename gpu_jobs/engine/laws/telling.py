"""What is told of one law: its part of the result, as plain values that JSON can hold."""

from __future__ import annotations

import math
from typing import Any

from gpu_jobs import registry
from gpu_jobs.engine.laws import doubts, reducing
from gpu_jobs.engine.laws.fitted import statistics
from gpu_jobs.engine.laws.part import Part
from gpu_jobs.points import facts, rule


def told(part: Part, asked: list[dict[str, float]]) -> dict[str, Any]:
    """Everything but frontier, chain and time."""
    fit, problem = part.fit, part.problem
    residuals = problem.residuals(fit.known.vectors)
    predicted = problem.predict(fit.known.best[None])[0]
    stated = problem.loss.stated(residuals)
    predictions, holdout = part.predictions(asked), part.holdout()
    return {
        "law": _law(part),
        "parameters": part.parameters(fit.known.best),
        "derived": _derived(part),
        "intervals": fit.intervals(part.vague),
        "profiles": None if part.profiles is None else {n: each.facts() for n, each in part.profiles.items()},
        "objective": {**facts(part.objective), "value": float(stated[0]), "points": problem.points},
        "outliers": _outliers(part),
        "minima": _minima(part, stated),
        "warnings": _warnings(part, predictions, holdout),
        "predictions": predictions,
        "holdout": holdout,
        "points": _points(part),
        "residuals": {
            "scale": "log" if problem.loss.logs else "value",
            "values": plain(residuals[0]),
            "predicted": plain(predicted),
        },
        "statistics": statistics(problem.target, predicted),
        "bootstrap": _bootstrap(part),
        "reduced": _reduced(part),
        "fit": {"starts": fit.known.starts, "polished": fit.known.polished, "seconds": part.seconds},
    }


def _law(part: Part) -> dict[str, Any]:
    law = part.law
    return {
        "name": law.name,
        "title": registry.method_of(law).title,
        "knobs": law.model_dump(mode="json"),
        "target": law.target,
        "variables": law.variables,
        "free": part.problem.names,
        "fixed": dict(law.fixed),
    }


def _derived(part: Part) -> dict[str, float]:
    values = part.fit.values(part.fit.known.best[None])
    return {name: float(value[0]) for name, value in values.items() if name not in part.problem.names}


def _outliers(part: Part) -> dict[str, Any]:
    rows = part.fitted_rows
    return {"rule": rule(part.source, part.law.target), "dropped": rows.outliers, "incomplete": rows.incomplete}


def _minima(part: Part, stated: Any) -> list[dict[str, Any]]:
    return [
        {
            "value": float(value),
            "relative": float(value / stated[0] - 1) if stated[0] > 0 else 0.0,
            "parameters": part.parameters(vector),
        }
        for value, vector in zip(stated, part.fit.known.vectors, strict=True)
    ]


def _warnings(part: Part, predictions: list[dict[str, Any]], holdout: dict[str, Any] | None) -> list[dict[str, str]]:
    found = [*part.warnings, *doubts.fit_doubts(part.problem, part.fit.known, part.vague)]
    if part.failed:
        message = f"{part.failed} of {part.spec.bootstrap.resamples} resamples have no fit: intervals leave them out."
        found.append(doubts.doubt("bootstrap_failed", message))
    return found + doubts.prediction_doubts(predictions) + doubts.holdout_doubts(holdout)


def _points(part: Part) -> dict[str, Any]:
    table = part.fitted_rows
    shown = dict.fromkeys([*(reducing.needs(part.law) or part.law.variables), part.law.target, "C"])
    return {
        "source": part.source.source,
        "used": len(table.rows),
        "held_out": len(part.held_out.rows),
        "columns": {name: plain(table.columns[name]) for name in shown if name in table.columns},
        "rows": table.rows.tolist(),
        "runs": None if table.runs is None else list(table.runs),
    }


def _bootstrap(part: Part) -> dict[str, Any] | None:
    if part.fit.vectors is None:
        return None
    given = part.spec.bootstrap.model_dump()
    return {**given, "units": part.fit.units, "seed": part.spec.seed, "failed": part.failed}


def _reduced(part: Part) -> dict[str, Any] | None:
    if part.reduced is None:
        return None
    return {"columns": {name: plain(column) for name, column in part.reduced.columns.items()}}


def plain(values: Any) -> list[Any]:
    """A column as JSON can hold it."""
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in values.tolist()]


def finite(value: Any) -> Any:
    """The same nested values, with null where a number is not finite."""
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
