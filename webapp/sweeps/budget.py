"""What a sweep has spent, what it will still take, and why one more run would not fit into its budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db.models import Count, Q
from django.utils import timezone

from webapp.runs.models import Run
from webapp.runs.states import FINAL
from webapp.sweeps.definition import Budget, Definition
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.pace import JOULES_PER_KWH, Pace, examples, pace, planned
from webapp.sweeps.queries import definition
from webapp.sweeps.states import LIVE, OPEN, Role, SweepStatus, TrialStatus
from webapp.sweeps.usage import Usage, seconds_of, usage_of
from webapp.sweeps.winners import reported

SLACK = 1 + 1e-9  # so that a budget of exactly n runs takes n


class Spent(NamedTuple):
    """By all runs of a sweep, those stopped, failed or done again included.

    GPU-hours are hours on devices: a CPU slot counts as the one device that it is. Energy is measured power times
    time; None where no device told its power, and that of those alone which did.
    """

    trials: int  # imported ones left out
    runs: int
    gpu_hours: float
    wall_hours: float  # since the sweep was made
    flops: float
    energy_kwh: float | None


class Forecast(NamedTuple):
    """What is still to come, from now to the end; None where nothing is known.

    An upper bound with a stopper or racing, which take away runs. `measured_runs` says on how many `seconds_per_run`
    rests.
    """

    seconds_per_run: float | None
    runs_left: int  # those under way included
    gpu_hours: float | None
    wall_hours: float | None
    flops: float | None
    energy_kwh: float | None
    ends_at: datetime | None
    measured_runs: int


def spent(sweep: Sweep) -> Spent:
    return spent_of([sweep])[sweep.pk]


def spent_of(sweeps: Iterable[Sweep]) -> dict[int, Spent]:
    """By sweep, in two queries for all of them."""
    found = {sweep.pk: sweep for sweep in sweeps}
    own = Trial.objects.filter(sweep__in=found).exclude(source=Trial.Source.IMPORTED).order_by()
    trials = dict(own.values_list("sweep").annotate(Count("pk")))
    return {pk: _spent(found[pk], trials.get(pk, 0), used) for pk, used in usage_of(found).items()}


def _spent(sweep: Sweep, trials: int, used: Usage) -> Spent:
    wall = (sweep.ended_at or timezone.now()) - sweep.created_at
    energy = None if used.joules is None else used.joules / JOULES_PER_KWH
    return Spent(trials, used.runs, used.gpu_seconds / 3600, wall / timedelta(hours=1), used.flops, energy)


def forecast(sweep: Sweep) -> Forecast:
    """Of a sweep that was made; by the pace of its own finished runs as soon as there are any."""
    checked = definition(sweep)
    one = pace(sweep, checked)
    if sweep.status not in LIVE:
        return _forecast(one, 0, 0.0, checked.concurrency)._replace(ends_at=sweep.ended_at)
    running = list(Run.objects.filter(replicate__trial__sweep=sweep, deleted_at=None).exclude(status__in=FINAL))
    new = _runs_to_queue(sweep, checked)
    return _forecast(one, new + len(running), new + _to_go(running, one), checked.concurrency)


def forecast_of(checked: Definition) -> Forecast:
    """Before the start, of a checked definition: all seeds of all trials, and the winners' test seeds."""
    return _forecast(planned(examples(checked)), checked.runs, float(checked.runs), checked.concurrency)


def _forecast(one: Pace, runs: int, to_go: float, concurrency: int) -> Forecast:
    """`to_go`: as many whole runs as what is left amounts to."""
    wall = None if one.seconds is None else max(to_go / concurrency, min(to_go, 1.0)) * one.seconds / 3600
    return Forecast(
        seconds_per_run=one.seconds,
        runs_left=runs,
        gpu_hours=_times(one.gpu_hours, to_go),
        wall_hours=wall,
        flops=_times(one.flops, to_go),
        energy_kwh=_times(one.energy_kwh, to_go),
        ends_at=None if wall is None else _later(wall),
        measured_runs=one.measured_runs,
    )


def _later(hours: float) -> datetime | None:
    """None beyond the calendar."""
    try:
        return timezone.now() + timedelta(hours=hours)
    except OverflowError:
        return None


def _times(amount: float | None, runs: float) -> float | None:
    return None if amount is None else amount * runs


def _runs_to_queue(sweep: Sweep, checked: Definition) -> int:
    """Seeds that trials still lack, all seeds of trials not asked for yet, and the winners' test seeds."""
    seeds, trials = checked.seeds, Trial.objects.filter(sweep=sweep).exclude(source=Trial.Source.IMPORTED)
    tested = Replicate.objects.filter(trial__sweep=sweep, role=Role.TEST).count()
    if sweep.status == SweepStatus.REPORTING:  # a choice of which nothing has succeeded is not reported
        return max(seeds.test * (len(reported(sweep, checked)) if seeds.test_each else 1) - tested, 0)
    test = max(checked.test_runs - tested, 0)
    going_on = OPEN | ({TrialStatus.SUCCEEDED} if seeds.racing else set())
    have = trials.filter(status__in=going_on).annotate(have=Count("replicates", Q(replicates__role=Role.TUNE)))
    wanted = ((seeds.tune if seeds.racing else asked) - has for asked, has in have.values_list("seeds", "have"))
    return sum(max(lack, 0) for lack in wanted) + max(checked.trials - trials.count(), 0) * seeds.tune + test


def _to_go(running: Sequence[Run], one: Pace) -> float:
    """What these runs have still before them, in whole runs: by their time or their steps, whichever is more."""
    taken = seconds_of(run.pk for run in running)
    return sum(max(_time_left(taken.get(run.pk, 0.0), one.seconds), _steps_left(run)) for run in running)


def _time_left(taken: float, seconds: float | None) -> float:
    return max(1 - taken / seconds, 0.0) if seconds else 0.0


def _steps_left(run: Run) -> float:
    return max(1 - run.step / run.steps, 0.0) if run.steps else 1.0


def refusal(sweep: Sweep, spent: Spent, running: Sequence[Run], *, reserve: int = 0) -> str | None:
    """Why one more run can't be begun and ended within the budget, in one sentence; None: it can.

    `running` (queued ones, too) go to their end, and `reserve` further runs are kept room for. What nothing is known of
    refuses nothing, until the budget is used up.
    """
    checked = definition(sweep)
    limits = checked.budget
    if limits == Budget():
        return None
    one, in_turn = pace(sweep, checked), math.ceil(reserve / checked.concurrency)
    others = _to_go(running, one) + reserve
    limited = [
        _Limited("GPU-hours", limits.gpu_hours, spent.gpu_hours, one.gpu_hours, others),
        _Limited("hours", limits.wall_hours, spent.wall_hours, one.hours, in_turn),
        _Limited("FLOPs", limits.flops, spent.flops, one.flops, others),
        _Limited("kWh", limits.energy_kwh, spent.energy_kwh or 0.0, one.energy_kwh, others),
    ]
    reasons = [*map(_excess, limited), _lateness(limits.deadline, one.hours, 1 + in_turn)]
    return next((reason for reason in reasons if reason), None)


class _Limited(NamedTuple):
    """`others`: how many whole runs the ones under way and kept room for amount to."""

    unit: str
    limit: float | None
    spent: float
    per_run: float | None
    others: float


def _excess(of: _Limited) -> str | None:
    if of.limit is None:
        return None
    if of.spent >= of.limit:
        return f"The budget of {of.limit:.4g} {of.unit} is spent."
    if of.per_run is None or of.spent + (of.others + 1) * of.per_run <= of.limit * SLACK:
        return None
    kept = f" and {of.others * of.per_run:.3g} kept for others" if of.others else ""
    return (
        f"One more run (about {of.per_run:.3g} {of.unit}) does not fit into the budget of {of.limit:.4g} {of.unit}: "
        f"{of.spent:.3g} are spent{kept}."
    )


def _lateness(deadline: datetime | None, hours: float | None, runs: int) -> str | None:
    """`runs`: that are still to be done one after the other."""
    if deadline is None:
        return None
    left = (deadline - timezone.now()) / timedelta(hours=1)
    told = f"{deadline.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if left <= 0:
        return f"The deadline, {told}, has passed."
    if hours is None or hours * runs <= left:
        return None
    kept = f" and {hours * (runs - 1):.3g} for those after it" if runs > 1 else ""
    return f"One more run (about {hours:.3g} hours{kept}) would not end by the deadline, {told}."
