"""The strip of facts on top of a run: each a value, then the comparison that gives it meaning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django.db.models import Max
from django.utils import timezone

from webapp.metrics import catalogue
from webapp.metrics.queries import Summary, summaries
from webapp.metrics.table.fields import KEY_METRICS, SPEED
from webapp.pages.runs.describe import dig, memory_of, number_at, position_of, remaining_s, trainable_of
from webapp.pages.templatetags import hone as text
from webapp.runs.actions.outside import EXTERNAL
from webapp.runs.models import PhaseMark, Run
from webapp.runs.states import FINAL, Status

HIGHER_IS_BETTER = ("eval/accuracy",)
QUALITIES = ("eval/accuracy", "eval/loss")
MOST_LOGGED = 5  # metrics of a run from outside
DENSE = "dense/"  # a metric as the model had it before it was made smaller
NOTHING = "–"  # noqa: RUF001 - a dash that reads as "not yet"
Metrics = Mapping[str, Summary]


class Fact(NamedTuple):
    label: str
    value: str
    note: str = ""


def facts_of(run: Run) -> list[Fact]:
    """Quality, trainable share, memory, speed, compute and time of a run; of one from outside what it logs."""
    if run.kind == EXTERNAL:
        return [*_logged(run), _time(run, timezone.now())]
    ids = [run.pk] + ([run.baseline_id] if run.baseline_id else [])
    found = summaries(ids, [*KEY_METRICS, *(f"{DENSE}{name}" for name in QUALITIES), "train/loss", SPEED])
    metrics = found.get(run.pk, {})
    return [
        _quality(run, metrics, found.get(run.baseline_id or 0, {})),
        _trainable(run),
        _memory(run),
        _speed(run, metrics),
        _compute(run),
        _time(run, timezone.now()),
    ]


def _quality(run: Run, metrics: Metrics, baseline: Metrics) -> Fact:
    name = next((name for name in (*QUALITIES, "train/loss") if name in metrics), "eval/loss")
    if name not in metrics:
        return Fact(name, NOTHING)
    value = metrics[name].last
    if name in baseline:
        return Fact(name, text.metric(value), _difference(value, baseline[name].last))
    if f"{DENSE}{name}" in metrics:
        return Fact(name, text.metric(value), _difference(value, metrics[f"{DENSE}{name}"].last, "dense"))
    best = metrics[name].maximum if name in HIGHER_IS_BETTER else metrics[name].minimum
    return Fact(name, text.metric(value), f"best {text.metric(best)}" if best is not None else "")


def _logged(run: Run) -> list[Fact]:
    """The qualities that it has, then other metrics by name: five in all."""
    names = [*catalogue.known(run.pk, [*QUALITIES, "train/loss"]), *catalogue.find(run.pk, limit=MOST_LOGGED).names]
    shown = list(dict.fromkeys(names))[:MOST_LOGGED]
    found = summaries([run.pk] + ([run.baseline_id] if run.baseline_id else []), shown)
    own, baseline = found.get(run.pk, {}), found.get(run.baseline_id or 0, {})
    return [_measured(name, own[name], baseline.get(name)) for name in shown if name in own]


def _measured(name: str, summary: Summary, baseline: Summary | None) -> Fact:
    if baseline is not None:
        return Fact(name, text.metric(summary.last), _difference(summary.last, baseline.last))
    least, most = text.metric(summary.minimum), text.metric(summary.maximum)
    return Fact(name, text.metric(summary.last), f"{least} to {most}" if least and least != most else "")


def _difference(value: float | None, baseline: float | None, of: str = "baseline") -> str:
    """ "+0.041 · +3.0 % of baseline"."""
    if value is None or baseline is None:
        return ""
    absolute = f"{value - baseline:+.3g}"
    if not baseline or not math.isfinite(value / baseline):
        return absolute
    return f"{absolute} · {signed((value - baseline) / abs(baseline) * 100)} % of {of}"


def signed(percent: float) -> str:
    """One decimal with its sign; what rounds to zero has none."""
    text = f"{percent:+.1f}"
    return text if text.strip("+-0.") else "0.0"


def _trainable(run: Run) -> Fact:
    share = trainable_of(run)
    if share is None:
        return Fact("Trainable", NOTHING)
    total, trainable = (number_at(run.facts, "parameters", key) for key in ("total", "trainable"))
    return Fact("Trainable", text.percent(share), f"{text.number(trainable)} of {text.si(total)}")


def _memory(run: Run) -> Fact:
    planned = number_at(run.facts, "plan", "memory", "total")
    measured = memory_of(run) or _peak_so_far(run)
    note = f"planned {text.bytes_(planned)}" if planned else ""
    return Fact("Peak memory", text.bytes_(measured) or NOTHING, note)


def _peak_so_far(run: Run) -> int | None:
    """The highest peak of the phases that have ended."""
    peak: int | None = PhaseMark.objects.filter(attempt__run=run).aggregate(peak=Max("peak_memory_bytes"))["peak"]
    return peak


def _speed(run: Run, metrics: Metrics) -> Fact:
    samples = number_at(run.result, "speed", "samples_per_second")
    tokens = metrics[SPEED].last if SPEED in metrics else number_at(run.result, "speed", "tokens_per_second")
    if tokens is not None:
        return Fact("Speed", text.si(tokens), "tokens/s")
    return Fact("Speed", text.si(samples), "samples/s") if samples is not None else Fact("Speed", NOTHING)


def _compute(run: Run) -> Fact:
    """FLOPs so far; the formula is named in the facts of the run."""
    total = number_at(run.result, "flops", "total") or number_at(run.result, "flops")
    per_step = number_at(run.facts, "flops", "per_step")
    done = total if total is not None else per_step * run.step if per_step is not None else None
    formula = dig(run.facts, "flops", "formula")
    note = f"FLOPs · {formula}" if isinstance(formula, str) and len(formula) < 24 else "FLOPs"
    return Fact("Compute", _power(done), note) if done else Fact("Compute", NOTHING)


def _power(value: float) -> str:
    return f"{value:.2g}".replace("e+", "e")


def _time(run: Run, now: datetime) -> Fact:
    step = f"step {run.step:,} of {run.steps:,}" if run.steps else f"step {run.step:,}" if run.step else ""
    if run.status == Status.QUEUED:
        place = position_of(run)
        return Fact("In the queue", f"#{place}" if place else NOTHING, f"of queue {run.queue_id}")
    remaining = remaining_s(run, now)
    if remaining is not None:
        return Fact("Done in", text.duration(remaining), step)
    took = text.duration(text.between(run.started_at, run.ended_at)) if run.started_at else NOTHING
    return Fact("Took" if run.status in FINAL else "So far", took, step)
