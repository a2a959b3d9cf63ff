"""Predicted final value: stops a trial when its chance to end among the best is below a stated level.

Its own curve and those of its siblings foretell its final value, as a distribution (extrapolation.py). Against the
final values of the siblings that have ended, and the foretold ones of those that have come at least as far,

    chance = P(final value <= the k-th best of the others)

A trial is stopped only below `chance`, and not before `min_trials` siblings have ended. If the distribution is right,
at most that share of the stopped trials would have entered the top k: calibration.py says how it turned out. Every
decision carries its forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from webapp.sweeps import extrapolation
from webapp.sweeps.curves import Curve, Decision
from webapp.sweeps.registry import Knobs as Base

PAPER = "https://www.ijcai.org/Proceedings/15/Papers/487.pdf"
SAMPLES = 2000
MOST_POINTS = 100  # of a curve that are looked at
MOST_SIBLINGS = 200  # that a forecast is made from: more tell little, and take time
BAND = (0.05, 0.95)


class Knobs(Base):
    name: Literal["predicted"]
    top: int = Field(1, ge=1, le=1000, description="A trial is worth going on while it may enter the best so many.")
    chance: float = Field(0.05, gt=0, lt=1, description="It is stopped when its chance of that is lower.")
    min_steps: int = Field(1, ge=1, description="No trial is stopped before this step.")
    min_points: int = Field(5, ge=4, le=MOST_POINTS, description="Values that it must have by then.")
    min_trials: int = Field(5, ge=1, le=10_000, description="Siblings that must have ended by then.")


def decide(knobs: Knobs, trial: Curve, others: Sequence[Curve], sign: float = 1.0) -> Decision | None:
    own = _finite(trial)
    step = int(own.steps[-1]) if len(own.steps) else 0
    if not max(knobs.min_steps, trial.judged_step + 1) <= step < trial.last_step or len(own.steps) < knobs.min_points:
        return None
    others = sorted(others, key=lambda other: other.trial)  # random draws go by this order
    finals = np.array([_final(other) for other in others if other.is_complete])
    forecast = _forecast(own, others)
    chance = _chance(forecast.samples(SAMPLES, seed=trial.trial), finals, knobs.top)
    told = _told(forecast, step, trial.last_step, chance)
    if len(finals) < knobs.min_trials or chance >= knobs.chance:
        return Decision(False, step, forecast=told)
    place = "the best" if knobs.top == 1 else f"the top {knobs.top}"
    foretold = f"{sign * told['mean']:.4g} is foretold for step {trial.last_step}"
    return Decision(True, step, f"its chance to end as {place} is {chance:.1%}: {foretold}", told)


def _forecast(own: Curve, others: Sequence[Curve]) -> extrapolation.Forecast:
    """Of the trial first, then of the siblings that train and have come as far, read up to the same step."""
    past = _thinned(own.steps)
    ended = _siblings(own, [other for other in others if other.is_complete])
    running = _siblings(own, [other for other in others if not other.is_over])
    steps = np.concatenate([past, _ahead(own, ended)])
    return extrapolation.forecast(steps, _at([own, *running], past), _at(ended, steps))


def _siblings(own: Curve, others: Sequence[Curve]) -> list[Curve]:
    """The latest that train for as long and have come as far."""
    alike = [other for other in others if other.last_step == own.last_step and len(other.steps)]
    as_far = [other for other in alike if other.steps[-1] >= own.steps[-1]][-MOST_SIBLINGS:]
    come = [_finite(other) for other in as_far]
    return [other for other in come if len(other.steps) and other.steps[-1] >= own.steps[-1]]


def _ahead(own: Curve, ended: Sequence[Curve]) -> NDArray[np.int64]:
    """The steps after now at which curves are read: where a sibling was measured; the end is the last."""
    known = ended[0].steps if ended else np.linspace(own.steps[-1], own.last_step, 10).astype(np.int64)
    between = known[(known > own.steps[-1]) & (known < own.last_step)]
    return np.append(_thinned(between), own.last_step)


def _thinned(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most MOST_POINTS of them, evenly chosen, the last among them."""
    places = np.linspace(len(steps) - 1, 0, min(len(steps), MOST_POINTS)).round().astype(int)
    thinned: NDArray[np.int64] = steps[places[::-1]]
    return thinned


def _at(curves: Sequence[Curve], steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """(curves, steps)"""
    rows = [np.interp(steps, curve.steps, curve.values) for curve in curves]
    return np.array(rows).reshape(len(curves), len(steps))


def _chance(samples: NDArray[np.float64], finals: NDArray[np.float64], top: int) -> float:
    """`samples` (s, 1 + running): the trial's and its running siblings' final values."""
    best = np.sort(finals)[:top]
    rivals = np.concatenate([samples[:, 1:], np.broadcast_to(best, (len(samples), len(best)))], axis=1)
    if rivals.shape[1] < top:
        return 1.0
    return float(np.mean(samples[:, 0] <= np.partition(rivals, top - 1, axis=1)[:, top - 1]))


def _told(forecast: extrapolation.Forecast, step: int, target: int, chance: float) -> dict[str, Any]:
    low, high = (float(forecast.quantile(probability)[0]) for probability in BAND)
    mean = float(forecast.location[0])
    return {"step": step, "target_step": target, "mean": mean, "low": low, "high": high, "chance": chance}


def _finite(curve: Curve) -> Curve:
    """Without the points that are no number."""
    good = np.isfinite(curve.values)
    return curve._replace(steps=curve.steps[good], values=curve.values[good])


def _final(curve: Curve) -> float:
    """What is no number is worst."""
    value = float(curve.values[-1]) if len(curve.values) else np.inf
    return value if np.isfinite(value) else np.inf
