"""The rows of the runs table as HTML: as template parts, 100 of them would take most of a page's time.

Each piece that is anybody's text is escaped by the standard library, as Django does it: its own functions around that
would take as long again as all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from html import escape
from typing import NamedTuple

from django.utils.http import urlencode
from django.utils.safestring import SafeString, mark_safe

from webapp.metrics.queries import Summary
from webapp.metrics.table.fields import SPEED
from webapp.pages.runs.columns import Column
from webapp.pages.runs.describe import data_of, memory_of, method_of, model_of, remaining_s, trainable_of
from webapp.pages.runs.params import param_text
from webapp.pages.templatetags import hone as text
from webapp.runs.models import Run
from webapp.runs.states import Status

Metrics = Mapping[str, Summary]
Drawn = Callable[["Seen"], str]
EMPTY = "<td></td>"


class Seen(NamedTuple):
    """A run with what its row tells besides."""

    run: Run
    metrics: Metrics
    place: int | None  # in its queue
    now: datetime


def rows(seen: Iterable[Seen], columns: Sequence[Column], address: str, may_edit: bool) -> SafeString:
    """A row for each run: its name, which leads to it, and a cell for each column. `address` is where all runs are."""
    drawn = [_drawn(column) for column in columns]
    return mark_safe("".join(_row(one, drawn, address, may_edit) for one in seen))  # noqa: S308 - each piece is escaped


def _row(seen: Seen, drawn: Sequence[Drawn], address: str, may_edit: bool) -> str:
    number, name = seen.run.pk, escape(seen.run.name)
    tick = f'<input type="checkbox" name="run" value="{number}" aria-label="Select {name}"> ' if may_edit else ""
    swatch = f'<span class="swatch {text.series_class(number - 1)}"></span>'
    link = f'<a class="open" id="open-{number}" href="{address}{number}/">{name}</a>'
    cells = "".join(draw(seen) for draw in drawn)
    return f'<tr id="row-{number}"><th scope="row">{tick}{swatch}{link}</th>{cells}</tr>'


def _drawn(column: Column) -> Drawn:
    """What makes the cells of a column."""
    if column.name in DRAWN:
        return DRAWN[column.name]
    said, begin = _said(column), f'<td class="n{" dim" if column.name in DIM else ""}">' if column.numeric else "<td>"
    if column.name in MARKED:
        return lambda seen: f"{begin}{said(seen)}</td>"
    return lambda seen: f"{begin}{escape(said(seen))}</td>"


def _said(column: Column) -> Callable[[Seen], str]:
    if column.metric is not None:
        name, aggregate = column.metric
        return lambda seen: text.metric(value_of(seen.metrics, name, aggregate))
    if column.param:
        return lambda seen: param_text(getattr(seen.run, column.field), column.param)
    return TEXTS[column.name]


def value_of(metrics: Metrics, name: str, aggregate: str) -> float | None:
    if name not in metrics:
        return None
    field = {"min": "minimum", "max": "maximum"}.get(aggregate, aggregate)
    return getattr(metrics[name], field)  # type: ignore[no-any-return]


def _status(seen: Seen) -> str:
    return f'<td><span class="status {escape(seen.run.status)}">{escape(text.words(seen.run.status))}</span></td>'


def _progress(seen: Seen) -> str:
    run = seen.run
    is_still = run.status == Status.PAUSED
    if not run.steps or not (is_still or (run.ended_at is None and run.status != Status.QUEUED)):
        return EMPTY
    kind = "progress still" if is_still else "progress"
    bar = f'<progress class="{kind}" value="{run.step or 0}" max="{run.steps}" aria-label="Progress"></progress>'
    left = remaining_s(run, seen.now)
    eta = "" if left is None else f' <small class="dim data">{text.duration(left)}</small>'
    return f'<td class="progress-cell">{bar}{eta}</td>'


def _tags(seen: Seen) -> str:
    return f"<td>{''.join(map(_tag, seen.run.tags))}</td>"


@lru_cache(maxsize=2048)
def _tag(tag: str) -> str:
    return f'<a class="tag" href="?{escape(urlencode({"tag": tag}))}">{escape(tag)}</a> '


def _time(seen: Seen) -> str:
    """How long it took so far; for what waits, its place in the queue."""
    if seen.run.status == Status.QUEUED:
        return f"#{seen.place}" if seen.place else ""
    return text.duration(text.between(seen.run.started_at, seen.run.ended_at))


def _speed(seen: Seen) -> str:
    return text.si(seen.metrics[SPEED].last) if SPEED in seen.metrics else ""


DIM = frozenset({"time", "created"})
MARKED = frozenset({"created"})  # made of HTML already
DRAWN: Mapping[str, Drawn] = {"status": _status, "progress": _progress, "tags": _tags}
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
