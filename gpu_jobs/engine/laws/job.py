"""The job of a scaling fit: reads its points, fits, bootstraps, doubts, foresees, and tells all of it as one result.

The shape of the result is in the docstring of `kinds/scaling_fit.py`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gpu_jobs import registry
from gpu_jobs.context import Context
from gpu_jobs.engine import provenance
from gpu_jobs.engine.laws import doubts, reducing
from gpu_jobs.engine.laws.fitted import Fitted, bands, fitted, statistics
from gpu_jobs.engine.laws.objectives import Array, loss_of
from gpu_jobs.engine.laws.problem import Problem
from gpu_jobs.engine.laws.table import Table, divided, labels, read
from gpu_jobs.errors import DataError
from gpu_jobs.events import Artifact, Event, Log, Metrics, Phase, Result, Started
from gpu_jobs.law import LawKnobs
from gpu_jobs.points import facts, rule

if TYPE_CHECKING:
    from gpu_jobs.kinds.scaling_fit import Chained, Spec


def fit(spec: Spec, context: Context) -> Iterator[Event]:
    """Started, phase, one metric, the log of doubts, fit.json, result."""
    began = time.perf_counter()
    yield Started(
        step=0,
        steps=0,
        facts={"law": spec.law.model_dump(mode="json"), "parameters": {"total": len(spec.law.free), "trainable": 0}},
        provenance=provenance.collect(spec.seed),
    )
    yield Phase(name="fit", step=0)
    first = Part(spec, context, spec.law, spec.objective, spec.points)
    result = first.result(spec.predict)
    result["frontier"] = frontier(first, spec.frontier)
    result["then"] = None
    draws = {name: _plain(values) for name, values in first.fit.draws().items()}
    if spec.then is not None:
        result["then"], more = _chained(spec, context, first, spec.then, result)
        draws |= {f"then.{name}": _plain(values) for name, values in more.items()}
    result["wall_time_s"] = time.perf_counter() - began
    yield from _told(result)
    result = _finite(result)
    text = json.dumps({"spec": spec.model_dump(mode="json"), "result": result, "draws": draws}, allow_nan=False)
    (context.work_dir / "fit.json").write_text(text)
    yield Artifact(path="fit.json")
    yield Result(values=result)


def _told(result: Mapping[str, Any]) -> Iterator[Event]:
    values = {"fit/objective": float(result["objective"]["value"])}
    if result["holdout"]:
        values["holdout/relative_error"] = float(result["holdout"]["mean_relative_error"])
    yield Metrics(step=0, values=values)
    named = ", ".join(f"{name} {value:.6g}" for name, value in result["parameters"].items())
    yield Log(
        message=f"{result['law']['title']}: {named}; {result['objective']['name']} {values['fit/objective']:.10g}"
    )
    for warning in result["warnings"]:
        yield Log(message=warning["message"], level="warning")


class Part:
    """One law on its points: read, divided, fitted."""

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
        self.vague = doubts.unidentified(self.problem, self.fit.known.best, self.fit.draws())
        self.seconds = time.perf_counter() - began

    def _fit(self, table: Table) -> Fitted:
        unit, settings = self.spec.bootstrap.unit, self.source.setting_columns or list(self.law.variables)
        if self.reduced is None:
            drawn = labels(table, unit, settings)
            return fitted(self.problem, self.spec.bootstrap, self.spec.seed, self.spec.polish, drawn)
        drawn = labels(self.fitted_rows, unit, settings)
        return reducing.fitted(self.problem, self.fitted_rows, drawn, self.spec)

    def result(self, asked: list[dict[str, float]]) -> dict[str, Any]:
        """Everything that is told of this law, but frontier, chain and time."""
        fit, known, problem = self.fit, self.fit.known, self.problem
        residuals = problem.residuals(known.vectors)
        stated = problem.loss.stated(residuals)
        predicted = problem.predict(known.best[None])[0]
        predictions = self.predictions(asked)
        holdout = self.holdout()
        failed = 0 if fit.vectors is None else int((~np.isfinite(fit.vectors).all(1)).sum())
        warnings = [*self.warnings, *doubts.fit_doubts(problem, known, self.vague)]
        if failed:
            message = f"{failed} of {self.spec.bootstrap.resamples} resamples have no fit: intervals leave them out."
            warnings.append(doubts.doubt("bootstrap_failed", message))
        warnings += doubts.prediction_doubts(predictions) + doubts.holdout_doubts(holdout)
        return {
            "law": self._law(),
            "parameters": self._parameters(known.best),
            "derived": {
                name: float(value[0])
                for name, value in fit.values(known.best[None]).items()
                if name not in problem.names
            },
            "intervals": fit.intervals(self.vague),
            "objective": {**facts(self.objective), "value": float(stated[0]), "points": problem.points},
            "outliers": {
                "rule": rule(self.source, self.law.target),
                "dropped": self.fitted_rows.outliers,
                "incomplete": self.fitted_rows.incomplete,
            },
            "minima": [
                {
                    "value": float(value),
                    "relative": float(value / stated[0] - 1) if stated[0] > 0 else 0.0,
                    "parameters": self._parameters(vector),
                }
                for value, vector in zip(stated, known.vectors, strict=True)
            ],
            "warnings": warnings,
            "predictions": predictions,
            "holdout": holdout,
            "points": self._points(),
            "residuals": {
                "scale": "log" if problem.loss.logs else "value",
                "values": _plain(residuals[0]),
                "predicted": _plain(predicted),
            },
            "statistics": statistics(problem.target, predicted),
            "bootstrap": None
            if fit.vectors is None
            else {
                **self.spec.bootstrap.model_dump(),
                "units": fit.units,
                "seed": self.spec.seed,
                "failed": failed,
            },
            "reduced": None
            if self.reduced is None
            else {"columns": {name: _plain(column) for name, column in self.reduced.columns.items()}},
            "fit": {"starts": known.starts, "polished": known.polished, "seconds": self.seconds},
        }

    def _law(self) -> dict[str, Any]:
        law = self.law
        return {
            "name": law.name,
            "title": registry.method_of(law).title,
            "knobs": law.model_dump(mode="json"),
            "target": law.target,
            "variables": law.variables,
            "free": self.problem.names,
            "fixed": dict(law.fixed),
        }

    def _parameters(self, vector: Array) -> dict[str, float]:
        natural = dict(zip(self.problem.names, self.problem.natural(vector[None])[0].tolist(), strict=True))
        return {each.name: natural.get(each.name, self.law.fixed.get(each.name, 0.0)) for each in self.law.parameters}

    def _points(self) -> dict[str, Any]:
        table = self.fitted_rows
        shown = dict.fromkeys([*(reducing.needs(self.law) or self.law.variables), self.law.target, "C"])
        return {
            "source": self.source.source,
            "used": len(table.rows),
            "held_out": len(self.held_out.rows),
            "columns": {name: _plain(table.columns[name]) for name in shown if name in table.columns},
            "rows": table.rows.tolist(),
            "runs": None if table.runs is None else list(table.runs),
        }

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
            raise DataError(f"holdout: {self.rule} are none: widen it")
        table = reducing.reduce(self.law, table) or table
        at, measured = table.variables(self.law), table.columns[self.law.target]
        return judged(
            self.rule, at, measured, self.problem.predict(self.fit.known.best[None], at)[0], self.around(at), table.runs
        )


def judged(
    said: str, at: Mapping[str, Array], measured: Array, predicted: Array, around: Any, runs: Any
) -> dict[str, Any]:
    """The holdout's part of a result."""
    errors = np.abs(predicted - measured) / np.abs(measured)
    points = []
    for index, value in enumerate(measured):
        pair = around[index]["interval"]
        points.append(
            {
                "at": {name: float(column[index]) for name, column in at.items()},
                "run": None if runs is None else runs[index],
                "measured": float(value),
                "predicted": float(predicted[index]),
                **around[index],
                "relative_error": float(predicted[index] / value - 1),
                "inside": None if pair is None else bool(pair[0] <= value <= pair[1]),
            }
        )
    known = [point["inside"] for point in points]
    return {
        "rule": said,
        "points": points,
        "mean_relative_error": float(errors.mean()),
        "max_relative_error": float(errors.max()),
        "inside": None if None in known else all(known),
    }


def frontier(part: Part, budgets: list[float]) -> list[dict[str, Any]] | None:
    """The best N and D of each budget, with intervals, and the loss there where the law tells it."""
    module = registry.method_of(part.law).module
    if not budgets:
        return None
    compute = np.array(budgets, float)
    best, tells_loss = part.fit.known.best[None], part.law.target == "loss"
    shares = [_optimum(part, module, best, compute)]
    if part.fit.has_draws and part.fit.vectors is not None:
        shares.append(_optimum(part, module, part.fit.vectors, compute))
    found = []
    for index, budget in enumerate(budgets):
        size, tokens = (side[0, index] for side in shares[0])
        entry: dict[str, Any] = {"compute": float(budget)}
        at = {"N": np.array([size]), "D": np.array([tokens])}
        entry |= {"N": float(size), "D": float(tokens), "loss": None}
        if tells_loss:
            entry["loss"] = float(part.problem.predict(best, at)[0, 0])
        found.append(entry | _frontier_intervals(part, shares, index, tells_loss))
    return found


def _optimum(part: Part, module: Any, vectors: Array, compute: Array) -> tuple[Array, Array]:
    natural = part.problem.natural(vectors)
    params: dict[str, Any] = {name: natural[:, [index]] for index, name in enumerate(part.problem.names)}
    held = {name: np.full((1, 1), value) for name, value in part.law.fixed.items()}
    with np.errstate(all="ignore"):
        size, tokens = module.optimum(part.law, {**held, **params}, compute)
    shape = (len(vectors), len(compute))
    return np.broadcast_to(size, shape), np.broadcast_to(tokens, shape)


def _frontier_intervals(part: Part, shares: list[Any], index: int, tells_loss: bool) -> dict[str, Any]:
    from gpu_jobs.engine.laws.bootstrap import quantiles

    if len(shares) < 2 or part.fit.vectors is None:
        return {"N_interval": None, "D_interval": None, "loss_band": None}
    level = part.spec.bootstrap.level
    size, tokens = (side[:, index] for side in shares[1])
    found: dict[str, Any] = {"N_interval": quantiles(size, level), "D_interval": quantiles(tokens, level)}
    at = {"N": shares[0][0][0, [index]], "D": shares[0][1][0, [index]]}
    found["loss_band"] = quantiles(part.fit.curves(at)[:, 0], level) if tells_loss else None
    return {name: None if pair is None else list(pair) for name, pair in found.items()}


def _chained(
    spec: Spec, context: Context, first: Part, then: Chained, told: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """The second law: fitted to measured values, then foreseen through the first one's predictions."""
    second = Part(spec, context, then.law, then.objective, then.points or spec.points)
    result = second.result([])
    link = first.law.target
    result["predictions"] = [
        {"at": each["at"], **_through(first, second, each["at"], link), "extrapolation": each["extrapolation"]}
        for each in told["predictions"]
    ]
    if second.rule is not None:
        result["holdout"] = _held_out_through(first, second, link)
    result["warnings"] = [each for each in result["warnings"] if each["code"] != "holdout_missed"]
    result["warnings"] += doubts.holdout_doubts(result["holdout"])
    return result, second.fit.draws()


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


def _plain(values: Any) -> list[Any]:
    """A column as JSON can hold it."""
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in values.tolist()]


def _finite(value: Any) -> Any:
    """The same nested values, with null where a number is not finite."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
