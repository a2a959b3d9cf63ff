"""How often forecasts of final values were right, once the final values are known."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from webapp.sweeps import queries
from webapp.sweeps.definition import sign
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.states import TrialStatus

STATED = 0.9  # of the bands


class Accuracy(NamedTuple):
    """`n` forecasts of `trials` trials that ran to their end; forecasts of one trial depend on each other.

    Of `stops` trials that were stopped, only the `resumed` ones tell: `wrong_stops` of them ended among the best.
    """

    n: int
    trials: int
    inside: int  # forecasts whose band held
    share_inside: float | None  # to be held against `stated`; None when n is 0
    stated: float
    stops: int
    resumed: int  # stopped, then resumed, and run to the end
    wrong_stops: int


def accuracy(
    forecasts: Mapping[int, Sequence[Mapping[str, Any]]],
    finals: Mapping[int, float],
    stopped: Collection[int] = (),
    top: int = 1,
) -> Accuracy:
    """`forecasts` and `finals` by trial, less is better; `finals` of those that ran to their end, `stopped` of all that
    a stopper ever stopped. Final values that are no numbers lie in no band."""
    told = {trial: found for trial, found in forecasts.items() if trial in finals and found}
    held = [one["low"] <= finals[trial] <= one["high"] for trial, found in told.items() for one in found]
    best = sorted((trial for trial in finals if math.isfinite(finals[trial])), key=lambda trial: finals[trial])[:top]
    return Accuracy(
        n=len(held),
        trials=len(told),
        inside=sum(held),
        share_inside=sum(held) / len(held) if held else None,
        stated=STATED,
        stops=len(stopped),
        resumed=sum(trial in finals for trial in stopped),
        wrong_stops=sum(trial in best for trial in stopped),
    )


def of_sweep(sweep: Sweep) -> Accuracy:
    """Of the stopper's forecasts so far. A spared trial was resumed; its last forecast tells whether from a stop."""
    checked = queries.definition(sweep)
    forecasts: dict[int, list[dict[str, Any]]] = {}
    finals: dict[int, float] = {}
    stopped: set[int] = set()
    for trial in Trial.objects.filter(sweep=sweep):
        forecasts[trial.number] = trial.forecasts
        if trial.status == TrialStatus.SUCCEEDED and trial.values:
            finals[trial.number] = sign(checked.objective[0]) * float(trial.values[0])
        was_hopeless = bool(trial.forecasts) and trial.forecasts[-1]["chance"] < getattr(checked.stopper, "chance", 0)
        if trial.status == TrialStatus.STOPPED or (trial.spared and was_hopeless):
            stopped.add(trial.number)
    return accuracy(forecasts, finals, stopped, getattr(checked.stopper, "top", 1))
