"""How long a job will take, from how fast this installation has been on jobs of a similar size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple, TypeGuard

from webapp.runs.models import Run
from webapp.runs.states import Status

NEWEST_RUNS = 200
NEAREST_RUNS = 5
SAME_SIZE = 0.01


class Forecast(NamedTuple):
    """The first two are None as long as nothing has been measured, or nothing is known of the job."""

    seconds: float | None
    flops_per_second: float | None
    measured_runs: int


class Measured(NamedTuple):
    flops_per_step: float
    flops_per_second: float


def forecast(total_flops: object, flops_per_step: object, runs: Sequence[Measured] | None = None) -> Forecast:
    """FLOPs over the median FLOP/s of the five finished runs whose FLOPs per step are nearest (by ratio).

    Small steps keep hardware less busy than large ones, so a rate is worth most for jobs of its own size. `runs` are
    the measured ones, where somebody asks for many forecasts and has looked them up once.
    """
    runs = measured() if runs is None else runs
    if not runs or not _is_positive(total_flops) or not _is_positive(flops_per_step):
        return Forecast(None, None, 0)
    size = math.log(flops_per_step)
    nearest = sorted(runs, key=lambda run: abs(math.log(run.flops_per_step) - size))[:NEAREST_RUNS]
    rate = median(run.flops_per_second for run in nearest)
    return Forecast(total_flops / rate, rate, len(nearest))


def seconds_per_step(method: str, flops_per_step: object) -> float | None:
    """Of training alone, evaluations and loading left out: the median of the newest five finished runs that trained by
    this method in steps of this size (FLOPs within 1 %). None where there is none."""
    if not _is_positive(flops_per_step):
        return None
    finished = Run.objects.filter(status=Status.SUCCEEDED, deleted_at=None, spec__method__name=method)
    columns = ("facts__flops__per_step", "spec__batch_size", "result__speed__samples_per_second")
    found = [
        batch / rate
        for flops, batch, rate in finished.order_by("-id").values_list(*columns)[:NEWEST_RUNS]
        if all(map(_is_positive, (flops, batch, rate))) and abs(flops / flops_per_step - 1) < SAME_SIZE
    ]
    return median(found[:NEAREST_RUNS]) if found else None


def measured() -> list[Measured]:
    """The newest successful runs, of all projects: a rate says nothing about what was trained.

    Evaluation and checkpoints count in, as they will again.
    """
    finished = Run.objects.filter(status=Status.SUCCEEDED, deleted_at=None, result__has_key="wall_time_s")
    rows = finished.order_by("-id").values_list("facts__flops", "result__wall_time_s")[:NEWEST_RUNS]
    return [run for flops, seconds in rows if (run := _measured(flops, seconds)) is not None]


def _measured(flops: Any, seconds: Any) -> Measured | None:
    total, per_step = (flops.get("total"), flops.get("per_step")) if isinstance(flops, dict) else (None, None)
    if not (_is_positive(total) and _is_positive(per_step) and _is_positive(seconds)):
        return None
    return Measured(per_step, total / seconds)


def _is_positive(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and value > 0
