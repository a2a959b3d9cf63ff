"""What the runs of a sweep have spent by when."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.db.models import F, Sum
from django.db.models.functions import Coalesce, Now

from webapp.metrics.points import Float64
from webapp.sweeps.models import Replicate, Sweep


class RunCost(NamedTuple):
    """Of a run that is over. `ended` in seconds since the epoch."""

    ended: float
    gpu_hours: float
    flops: float


def spent_at(sweep: Sweep, moments: Float64, measure: str) -> Float64:
    """By those moments (seconds since the epoch): "hours" since the sweep was made, or "gpu_hours" or "flops" of all
    runs that were over. NaN where a moment is."""
    if measure == "hours":
        return np.asarray((moments - sweep.created_at.timestamp()) / 3600, np.float64)
    costs = run_costs(sweep)
    return summed(
        np.array([cost.ended for cost in costs]), np.array([getattr(cost, measure) for cost in costs]), moments
    )


def summed(ended: Float64, cost: Float64, moments: Float64) -> Float64:
    """For each moment the sum of the costs of what ended at or before it."""
    order = np.argsort(ended)
    sums = np.concatenate([[0.0], np.cumsum(cost[order])])
    found = sums[np.searchsorted(ended[order], moments, side="right")]
    return np.where(np.isnan(moments), np.nan, found)


def run_costs(sweep: Sweep) -> list[RunCost]:
    attempt = "run__attempts"
    spell = Coalesce(F(f"{attempt}__ended_at"), Now()) - F(f"{attempt}__started_at")
    found = Replicate.objects.filter(trial__sweep=sweep, run__ended_at__isnull=False).order_by("run_id")
    fields = ("run__ended_at", "run__gpus", "run__step", "run__facts__flops__per_step", "run__result__flops__total")
    return [_cost(*row) for row in found.annotate(spell=Sum(spell)).values_list("spell", *fields)]


def _cost(spell: Any, ended_at: datetime, gpus: int, step: int, per_step: Any, total: Any) -> RunCost:
    flops = total if isinstance(total, int | float) else (per_step or 0) * step
    return RunCost(ended_at.timestamp(), (spell.total_seconds() if spell else 0.0) / 3600 * gpus, float(flops))
