"""What the attempts of a sweep's runs had spent at any moment, each at an even pace from its start to its end.

Counted as webapp/sweeps/usage.py does, so that what is spent by now is what the sweep has spent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.utils import timezone

from webapp.metrics.models import Series
from webapp.metrics.points import Float64
from webapp.runs.models import Attempt
from webapp.runs.states import Status
from webapp.sweeps.models import Sweep

JOULES_PER_KWH = 3.6e6


class Spell(NamedTuple):
    """One attempt: `began` and `ended` in seconds since the sweep was made, and what it takes a second by then."""

    began: float
    ended: float
    gpu_hours: float
    flops: float
    energy_kwh: float


def spent_at(sweep: Sweep, moments: Float64, measure: str, now: datetime | None = None) -> Float64:
    """By those moments, in seconds since the sweep was made: its "hours", or "gpu_hours", "flops" or "energy_kwh"."""
    if measure == "hours":
        return np.asarray(moments / 3600, np.float64)
    found = spells(sweep, now or timezone.now())
    began, ended = np.array([spell.began for spell in found]), np.array([spell.ended for spell in found])
    return total(began, ended, np.array([getattr(spell, measure) for spell in found]), moments)


def total(began: Float64, ended: Float64, rate: Float64, moments: Float64) -> Float64:
    """sum_i rate_i * (the part of [began_i, ended_i] that lies before the moment). NaN where a moment is."""
    return _since(began, rate, moments) - _since(ended, rate, moments)


def _since(times: Float64, rate: Float64, moments: Float64) -> Float64:
    """sum_i rate_i max(0, t - times_i) for each t, from sums over the times in order."""
    order = np.argsort(times)
    places = np.searchsorted(times[order], moments, side="right")
    rates = np.concatenate([[0.0], np.cumsum(rate[order])])
    weighted = np.concatenate([[0.0], np.cumsum((rate * times)[order])])
    return np.asarray(moments * rates[places] - weighted[places], np.float64)


def spells(sweep: Sweep, now: datetime) -> list[Spell]:
    """An attempt that is not over goes on until `now`."""
    found = Attempt.objects.filter(run__replicate__trial__sweep=sweep).order_by("started_at")
    fields = ("run_id", "started_at", "ended_at", "status", "last_step", "resumed_from_step", "run__gpus", "run__steps")
    rows = list(found.values_list(*fields, "run__facts__flops__total"))
    watts = _watts(sweep)
    return [_spell(sweep.created_at, now, watts.get(run_id, 0.0), *row) for run_id, *row in rows]


def _spell(
    origin: datetime, now: datetime, watts: float, started_at: datetime, ended_at: datetime | None, status: str,
    last_step: int, resumed_from: int | None, gpus: int, steps: int | None, planned: Any,
) -> Spell:  # fmt: skip
    seconds = max(((ended_at or now) - started_at).total_seconds(), 1e-6)
    done = (steps if steps and status == Status.SUCCEEDED else last_step) - (resumed_from or 0)
    flops = planned * max(done, 0) / steps if steps and isinstance(planned, int | float) else 0.0
    began = (started_at - origin).total_seconds()
    return Spell(began, began + seconds, gpus / 3600, flops / seconds, watts / JOULES_PER_KWH)


def _watts(sweep: Sweep) -> dict[int, float]:
    """The mean measured power of each run, summed over its devices."""
    found: dict[int, float] = {}
    series = Series.objects.filter(run__replicate__trial__sweep=sweep, finite_count__gt=0)
    powers = series.filter(name__regex=r"^system/gpu.*power_watts$").values_list("run_id", "total", "finite_count")
    for run_id, summed, count in powers:
        found[run_id] = found.get(run_id, 0.0) + summed / count
    return found
