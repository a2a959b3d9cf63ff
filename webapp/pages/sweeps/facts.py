"""The strip of facts on top of a sweep: each a value, then the comparison that gives it meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.utils import timezone

from webapp.pages.runs.facts import NOTHING, Fact
from webapp.pages.templatetags import hone as text
from webapp.sweeps import budget, winners
from webapp.sweeps.budget import Forecast, Spent
from webapp.sweeps.definition import Budget, Definition, Objective, sign
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.specs import test_metric
from webapp.sweeps.states import BAD, LIVE, OPEN, TrialStatus
from webapp.sweeps.statistics import Interval
from webapp.sweeps.winners import Best

Counts = Mapping[str, int]


class Standing(NamedTuple):
    """What the head of a sweep's page tells of it."""

    best: Best | None
    spent: Spent
    forecast: Forecast
    facts: list[Fact]


def standing(sweep: Sweep, checked: Definition, counts: Counts) -> Standing:
    best, spent, forecast = winners.best(sweep), budget.spent(sweep), budget.forecast(sweep)
    facts = [
        *(_quality(sweep, checked, best, place) for place in range(len(checked.objective))),
        *(_tested(checked, best, place) for place in range(len(checked.objective)) if best and best.test),
        _trials(checked, counts),
        _hours(spent, checked.budget, forecast),
        _compute(spent, checked.budget),
        _end(sweep, checked.budget, forecast),
    ]
    return Standing(best, spent, forecast, facts)


def _quality(sweep: Sweep, checked: Definition, best: Best | None, place: int) -> Fact:
    objective = checked.objective[place]
    label = f"Best {objective.metric}" if not place else objective.metric
    if best is None:
        return Fact(label, NOTHING, "no trial is done yet")
    interval = best.intervals[place]
    words = ["" if place else f"trial {best.trial}", spread(interval, checked.seeds.confidence)]
    words.append("" if place else _against_median(sweep, objective, best.values[0]))
    return Fact(label, text.metric(best.values[place]), " · ".join(word for word in words if word))


def spread(interval: Interval | None, confidence: float) -> str:
    """ "1.39 to 1.43 (95 %, 3 seeds)"; of a single seed only that it is one."""
    if interval is None:
        return ""
    if interval.low is None:
        return "1 seed" if interval.n == 1 else f"{interval.n} seeds"
    bounds = f"{text.metric(interval.low)} to {text.metric(interval.high)}"
    return f"{bounds} ({text.percent(confidence)}, {interval.n} seeds)"


def _against_median(sweep: Sweep, objective: Objective, value: float) -> str:
    """How much better the best is than the trial in the middle, which no search would have been needed for."""
    done = Trial.objects.filter(sweep=sweep, status=TrialStatus.SUCCEEDED, values__isnull=False)
    count = done.count()
    if count < 3:
        return ""
    median = done.order_by(winners.FIRST_VALUE).values_list(winners.FIRST_VALUE, flat=True)[count // 2]
    if not median:
        return ""
    share = sign(objective) * (median - value) / abs(median)
    return f"{share * 100:.1f} % better than the median" if share > 0.0005 else ""


def _tested(checked: Definition, best: Best | None, place: int) -> Fact:
    interval = best.test[place] if best and best.test else None
    label = f"Reported {test_metric(checked.objective[place].metric)}"
    note = f"{spread(interval, checked.seeds.confidence)} that chose nothing" if interval else ""
    return Fact(label, text.metric(interval.mean) if interval else NOTHING, note)


def _trials(checked: Definition, counts: Counts) -> Fact:
    done = counts["total"] - sum(counts[status] for status in OPEN)
    parts = {
        "running": counts[TrialStatus.RUNNING],
        "stopped early": counts[TrialStatus.STOPPED],
        "failed": sum(counts[status] for status in BAD),
        "cancelled": counts[TrialStatus.CANCELLED],
    }
    told = " · ".join(f"{number:,} {word}" for word, number in parts.items() if number)
    return Fact("Trials", f"{done:,} of {max(checked.trials, counts['total']):,}", told)


def _hours(spent: Spent, limit: Budget, forecast: Forecast) -> Fact:
    value = text.hours(spent.gpu_hours)
    value += f" of {text.hours(limit.gpu_hours)}" if limit.gpu_hours else ""
    more = f"about {text.hours(forecast.gpu_hours)} to come" if forecast.gpu_hours else ""
    runs = f"{spent.runs:,} run{'' if spent.runs == 1 else 's'}"
    return Fact("GPU-hours", value, " · ".join(filter(None, [runs, more])))


def _compute(spent: Spent, limit: Budget) -> Fact:
    energy = f"{text.metric(spent.energy_kwh)} kWh" if spent.energy_kwh is not None else ""
    energy += f" of {text.metric(limit.energy_kwh)}" if energy and limit.energy_kwh else ""
    value = text.si(spent.flops) if spent.flops else NOTHING
    value += f" of {text.si(limit.flops)}" if limit.flops else ""
    return Fact("Compute", value, " · ".join(filter(None, ["FLOPs", energy])))


def _end(sweep: Sweep, limit: Budget, forecast: Forecast) -> Fact:
    if sweep.status not in LIVE:
        return Fact("Took", text.duration(text.between(sweep.created_at, sweep.ended_at)), _ended(sweep))
    by = f"deadline {limit.deadline:%-d %b %H:%M} UTC" if limit.deadline else ""
    if forecast.ends_at is None:
        return Fact("So far", text.duration(text.between(sweep.created_at, None)), by or "its end is not known yet")
    left = max(0.0, (forecast.ends_at - timezone.now()).total_seconds())
    runs = f"{forecast.runs_left:,} run{'' if forecast.runs_left == 1 else 's'} to come"
    return Fact("Done in", text.duration(left), " · ".join(filter(None, [runs, by])))


def _ended(sweep: Sweep) -> Any:
    return f"ended {sweep.ended_at:%-d %b %H:%M} UTC" if sweep.ended_at else ""
