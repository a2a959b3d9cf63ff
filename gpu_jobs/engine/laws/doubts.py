"""What a reader must know before believing a fit: each doubt has a code and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpu_jobs.engine.laws.minima import NEAR, Minima
from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.engine.laws.problem import Problem, stacked
from gpu_jobs.engine.laws.profiling import Profile
from gpu_jobs.errors import DataError

LEAST_RANGE = 2.0  # times: a variable that spans less says nothing about its exponent
FARTHEST = 10.0  # times the range of the points
SINGULAR = 1e-7  # of the derivatives, columns at unit length
UNFELT = 1e-6  # of the longest column of derivatives: a term this small is not there
WIDEST = 1e4  # high / low of a positive parameter
FAR_WIDER = 4.0  # times: a profile this much wider than the draws shows a valley that they did not find
TALLEST = 100.0  # a prediction this many times the largest measured value is a pole


def doubt(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}


def check_number(points: int, free: int, few_points: str) -> list[dict[str, str]]:
    """Raises DataError with fewer points than parameters + 2, unless they are asked for."""
    if points >= free + 2:
        return []
    told = f"{points} points for {free} free parameters"
    if points < free or few_points == "refuse":
        more = "" if points < free else ", or set few_points to warn"
        raise DataError(f"too few points: {told}; at least {free + 2} are needed. Add points or fix parameters{more}")
    return [doubt("few_points", f"{told}: the fit goes through nearly every point, whatever the law.")]


def unidentified(
    problem: Problem, best: Array, draws: Mapping[str, Array], known: Mapping[str, Profile]
) -> dict[str, str]:
    """Parameters that these points do not determine, each with the reason."""
    found: dict[str, str] = {}
    for each in problem.knobs.free:
        values = problem.variables.get(each.exponent_of or "")
        if values is not None and (values > 0).all() and values.max() < LEAST_RANGE * values.min():
            spans = f"{each.exponent_of} spans only {values.max() / values.min():.3g} times"
            found[each.name] = f"{spans}, which is too little for its exponent"
    for name in _unfelt(problem, best):
        found.setdefault(name, "its term is too small to be felt at any point, so it can't be told from 0")
    for name in _dependent(problem, best):
        found.setdefault(name, "other parameters can make up for any change of it")
    for each in problem.knobs.free:
        values = draws.get(each.name, np.empty(0))
        values = values[np.isfinite(values)]
        if len(values) < 20:
            continue
        low, high = np.quantile(values, [0.025, 0.975])
        if each.log and high > WIDEST * low:
            found.setdefault(each.name, f"95 % of its draws span {low:.2g} to {high:.2g}")
        if each.exponent_of and low <= 0 <= high:
            found.setdefault(each.name, f"95 % of its draws span {low:.2g} to {high:.2g}, which includes 0")
    for name, profile in known.items():
        if why := _is_flat(profile, draws.get(name, np.empty(0))):
            found.setdefault(name, why)
    return found


def _is_flat(profile: Profile, draws: Array) -> str:
    """Why a profile says more than the draws do; empty where it does not."""
    if profile.low is None or profile.high is None:
        side = profile.values[0] if profile.low is None else profile.values[-1]
        return f"its profile is flat: held at {side:.2g} the law fits hardly worse"
    values = draws[np.isfinite(draws)]
    if len(values) < 20:
        return ""
    low, high = np.quantile(values, [0.025, 0.975])
    if profile.high - profile.low <= FAR_WIDER * (high - low):
        return ""
    return f"its profile holds {profile.low:.2g} to {profile.high:.2g}, its draws only {low:.2g} to {high:.2g}"


def _unfelt(problem: Problem, best: Array) -> list[str]:
    """The positive parameters that have gone to 0, like an E of 1e-13: an interval of them means nothing."""
    lengths = np.linalg.norm(_derivatives(problem, best), axis=0)
    tiny = {name for name, length in zip(problem.names, lengths, strict=True) if length < UNFELT * lengths.max()}
    return [each.name for each in problem.knobs.free if each.log and each.name in tiny]


def _derivatives(problem: Problem, best: Array) -> Array:
    """Of the residuals by the parameters in the fitted scale, (points, free)"""
    with np.errstate(all="ignore"):
        _, partials = problem.jacobian(best[None])
    return np.asarray(np.nan_to_num(stacked(partials, (1, problem.points), len(best))[0].T))


def _dependent(problem: Problem, best: Array) -> list[str]:
    """The parameters in a combination along which no prediction changes."""
    matrix = _derivatives(problem, best)
    lengths = np.linalg.norm(matrix, axis=0)
    if not len(best) or not lengths.all():
        return [name for name, length in zip(problem.names, lengths, strict=True) if not length]
    _, sizes, rows = np.linalg.svd(matrix / lengths, full_matrices=False)
    flat = np.abs(rows[sizes < SINGULAR * sizes[0]])
    return [name for index, name in enumerate(problem.names) if len(flat) and flat[:, index].max() > 0.1]


def fit_doubts(problem: Problem, known: Minima, vague: Mapping[str, str]) -> list[dict[str, str]]:
    """Of the fit itself: parameters, minima, poles."""
    found = [doubt("not_identified", f"{name} is not identified: {why}.") for name, why in vague.items()]
    if len(known.vectors) > 1:
        found.append(
            doubt(
                "several_minima",
                f"{len(known.vectors)} different minima lie within {NEAR:.0%} of the best objective: all are reported, "
                "and the points do not decide between them.",
            )
        )
    return found + _poles(problem, known.best)


def _poles(problem: Problem, best: Array) -> list[dict[str, str]]:
    """Looks along each variable, from its least value to 10 times its largest, beside up to 20 of the points."""
    some = np.unique(np.linspace(0, problem.points - 1, 20).astype(int))
    limit, positive = TALLEST * np.abs(problem.target).max(), bool((problem.target > 0).all())
    for name, values in problem.variables.items():
        if not (values > 0).all():
            continue
        way = np.geomspace(values.min(), FARTHEST * values.max(), 400)
        grid = {each: np.repeat(column[some], len(way)) for each, column in problem.variables.items()}
        grid[name] = np.tile(way, len(some))
        found = problem.predict(best[None], grid)[0]
        bad = ~np.isfinite(found) | (np.abs(found) > limit) | ((found <= 0) & positive)
        if bad.any():
            place = grid[name][np.flatnonzero(bad)[0]]
            told = f"has no sensible value at {name} = {place:.3g}, within 10 times the points"
            return [doubt("pole", f"the fitted law {told}: do not use it near there.")]
    return []


def extrapolation(at: Mapping[str, float], variables: Mapping[str, Array]) -> float:
    """How many times farther than the points, in the variable (or 6 N D) that is farthest; 1 inside."""
    seen, asked = dict(variables), dict(at)
    if {"N", "D"} <= seen.keys() and {"N", "D"} <= asked.keys():
        seen["6 N D"], asked["6 N D"] = 6 * seen["N"] * seen["D"], 6 * asked["N"] * asked["D"]
    found = 1.0
    for name, values in seen.items():
        if name in asked and asked[name] > 0 and (values > 0).all():
            found = max(found, asked[name] / values.max(), values.min() / asked[name])
    return float(found)


def prediction_doubts(predictions: list[dict[str, Any]]) -> list[dict[str, str]]:
    far = [each for each in predictions if each["extrapolation"] > FARTHEST]
    if not far:
        return []
    most = max(each["extrapolation"] for each in far)
    told = f"{len(far)} of {len(predictions)} predictions lie more than {FARTHEST:g} times outside the points"
    return [
        doubt("extrapolation", f"{told} (up to {most:.3g} times): their intervals assume that the law holds there.")
    ]


def holdout_doubts(holdout: dict[str, Any] | None) -> list[dict[str, str]]:
    if holdout is None or holdout["inside"] is not False:
        return []
    out = [each for each in holdout["points"] if each["inside"] is False]
    worst = max(abs(each["relative_error"]) for each in out)
    told = f"{len(out)} of {len(holdout['points'])} held-out points lie outside their interval"
    return [
        doubt("holdout_missed", f"{told} (error up to {worst:.2%}): the law is less certain than the intervals say.")
    ]
