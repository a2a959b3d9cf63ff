"""The cells of the runs table as HTML: as template parts, those of 100 rows would take most of a page's time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.utils.html import escape, format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString, mark_safe

from webapp.metrics.queries import Summary
from webapp.pages.runs.columns import SPEED, Column
from webapp.pages.runs.describe import data_of, memory_of, method_of, model_of, remaining_s, trainable_of
from webapp.pages.runs.params import param_text
from webapp.pages.templatetags import hone as text
from webapp.runs.models import Run
from webapp.runs.states import Status

Metrics = Mapping[str, Summary]
EMPTY = mark_safe("<td></td>")
PROGRESS = '<progress class="progress {}" value="{}" max="{}" aria-label="Progress"></progress>'


class Seen(NamedTuple):
    """A run with what its row tells besides."""

    run: Run
    metrics: Metrics
    place: int | None  # in its queue
    now: datetime


def cells(seen: Seen, columns: Sequence[Column]) -> SafeString:
    """The row's cells behind its head."""
    return mark_safe("".join(_cell(seen, column) for column in columns))  # noqa: S308 - each piece is escaped


def _cell(seen: Seen, column: Column) -> str:
    if column.metric is not None:
        return _text(text.metric(value_of(seen.metrics, *column.metric)), column)
    if column.param:
        return _text(param_text(getattr(seen.run, column.field), column.param), column)
    drawn = DRAWN.get(column.name)
    return drawn(seen) if drawn else _text(TEXTS[column.name](seen), column)


def _text(value: str, column: Column) -> str:
    dim = " dim" if column.name in DIM else ""
    return f'<td class="n{dim}">{escape(value)}</td>' if column.numeric else f"<td>{escape(value)}</td>"


def value_of(metrics: Metrics, name: str, aggregate: str) -> float | None:
    if name not in metrics:
        return None
    field = {"min": "minimum", "max": "maximum"}.get(aggregate, aggregate)
    return getattr(metrics[name], field)  # type: ignore[no-any-return]


def _status(seen: Seen) -> str:
    return format_html('<td><span class="status {}">{}</span></td>', seen.run.status, text.words(seen.run.status))


def _progress(seen: Seen) -> str:
    run = seen.run
    is_still = run.status == Status.PAUSED
    if not run.steps or not (is_still or (run.ended_at is None and run.status != Status.QUEUED)):
        return EMPTY
    bar = format_html(PROGRESS, "still" if is_still else "", run.step or 0, run.steps)
    left = remaining_s(run, seen.now)
    eta = "" if left is None else format_html(' <small class="dim data">{}</small>', text.duration(left))
    return format_html('<td class="progress-cell">{}{}</td>', bar, eta)


def _tags(seen: Seen) -> str:
    links = (format_html('<a class="tag" href="?{}">{}</a> ', urlencode({"tag": tag}), tag) for tag in seen.run.tags)
    return f"<td>{''.join(links)}</td>"


def _time(seen: Seen) -> str:
    """How long it took so far; for what waits, its place in the queue."""
    if seen.run.status == Status.QUEUED:
        return f"#{seen.place}" if seen.place else ""
    return text.duration(text.between(seen.run.started_at, seen.run.ended_at))


def _speed(seen: Seen) -> str:
    return text.si(seen.metrics[SPEED].last) if SPEED in seen.metrics else ""


DIM = frozenset({"time", "created"})
DRAWN: Mapping[str, Callable[[Seen], str]] = {"status": _status, "progress": _progress, "tags": _tags}
TEXTS: Mapping[str, Callable[[Seen], str]] = {
    "speed": _speed,
    "time": _time,
    "kind": lambda seen: seen.run.kind,
    "method": lambda seen: method_of(seen.run),
    "model": lambda seen: model_of(seen.run),
    "data": lambda seen: data_of(seen.run),
    "trainable": lambda seen: text.percent(trainable_of(seen.run)),
    "memory": lambda seen: text.bytes_(memory_of(seen.run)),
    "priority": lambda seen: str(seen.run.priority),
    "queue": lambda seen: seen.run.queue_id,
    "by": lambda seen: seen.run.created_by.username if seen.run.created_by else "",
    "created": lambda seen: text.ago(seen.run.created_at),
}
