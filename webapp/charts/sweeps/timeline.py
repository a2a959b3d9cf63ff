"""Which trial trained where and when: one bar an attempt, one row a slot of a worker, and how idle each slot was.

A slot's number is not recorded on a CPU, so attempts are put into rows in the order in which they began: each into the
first row of its worker that was free. The rows are as many as were ever busy at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.utils import timezone

from webapp.charts import phases, theme
from webapp.charts.sweeps import look
from webapp.charts.sweeps.options import Option
from webapp.charts.theme import Json
from webapp.runs.models import Attempt
from webapp.runs.states import Status
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep
from webapp.sweeps.states import TrialStatus

PLACE = 80
TITLE = "Timeline"
QUESTION = "Were the slots busy, and with what?"
IS_WIDE = True
MOST_BARS = 1000
MOST_NUMBERED = 300  # to fit numbers into more bars takes a browser seconds
SLOT = " · "  # between a worker's name and the slot's number
COLOURS = {
    "succeeded": "--series-1/0.75", "stopped early": "--series-3/0.6", "running": "--busy", "failed": "--bad/0.8",
    "lost": "--wait", "cancelled": "--still/0.6",
}  # fmt: skip


class Try(NamedTuple):
    """One attempt; seconds since the first one began. `state` is a key of COLOURS."""

    trial: int
    number: int
    worker: str
    gpus: int
    began: float
    ended: float
    state: str
    seed: int = 0
    role: str = "tune"
    resumed_from: int | None = None


class Bar(NamedTuple):
    lane: str
    attempt: Try


class Timeline(NamedTuple):
    """`idle`: of each lane, the share of the time from the first attempt's start to the last one's end, or to now."""

    origin: datetime
    bars: list[Bar]
    idle: dict[str, float]
    length: float
    count: int  # type: ignore[assignment]  # shadows tuple.count


def applies(definition: Definition) -> bool:
    return True


def options(sweep: Sweep) -> list[Option]:
    return []


def data(sweep: Sweep, now: datetime | None = None) -> Timeline:
    found = Attempt.objects.filter(run__replicate__trial__sweep=sweep).order_by("started_at", "number")
    fields = ("number", "worker_name", "status", "started_at", "ended_at", "resumed_from_step", "run__gpus")
    trial = (
        "run__replicate__trial__number",
        "run__replicate__trial__status",
        "run__replicate__seed",
        "run__replicate__role",
    )
    rows = list(found.values_list(*fields, *trial))
    if not rows:
        return Timeline(sweep.created_at, [], {}, 0.0, 0)
    origin, now = rows[0][3], now or timezone.now()
    return of(origin, [_try(origin, now, *row) for row in rows])


def _try(
    origin: datetime, now: datetime, number: int, worker: str, status: str, began: datetime, ended: datetime | None,
    resumed_from: int | None, gpus: int, trial: int, trial_status: str, seed: int, role: str,
) -> Try:  # fmt: skip
    first, last = ((at - origin).total_seconds() for at in (began, ended or now))
    return Try(trial, number, worker, gpus, first, last, state(status, trial_status), seed, role, resumed_from)


def state(status: str, trial_status: str) -> str:
    """Of an attempt, in the words of the legend."""
    if status in (Status.FAILED, Status.OUT_OF_MEMORY, Status.DIVERGED):
        return "failed"
    if status in (Status.SUCCEEDED, Status.LOST):
        return status
    if status in (Status.CANCELLED, Status.PAUSED):
        return "stopped early" if trial_status == TrialStatus.STOPPED else "cancelled"
    return "running"


def of(origin: datetime, attempts: Sequence[Try]) -> Timeline:
    """`attempts` in the order in which they began."""
    bars = list(_placed(attempts))
    length = max((one.ended for one in attempts), default=0.0)
    busy: dict[str, float] = defaultdict(float)
    for bar in bars:
        busy[bar.lane] += bar.attempt.ended - bar.attempt.began
    idle = {lane: 1 - busy[lane] / length if length else 0.0 for lane in sorted(busy, key=_place)}
    return Timeline(origin, bars[-MOST_BARS:], idle, length, len(bars))


def _place(lane: str) -> tuple[str, int]:
    worker, _, slot = lane.rpartition(SLOT)
    return worker, int(slot)


def _placed(attempts: Iterable[Try]) -> Iterator[Bar]:
    """Clocks of machines differ a little: a slot counts as free a moment before its last attempt's end."""
    free: dict[str, list[float]] = defaultdict(list)  # of each worker, when each of its slots is free
    for one in attempts:
        slots = free[one.worker]
        places = [place for place, at in enumerate(slots) if at <= one.began + 1e-3][: one.gpus]
        places += range(len(slots), len(slots) + one.gpus - len(places))
        slots += [0.0] * (max(places) + 1 - len(slots))
        for place in places:
            slots[place] = one.ended
            yield Bar(f"{one.worker}{SLOT}{place + 1}", one)


def figure(data: Timeline) -> Json:
    if not data.bars:
        return look.empty("No run of this sweep has begun yet.")
    return {
        "data": [*_bars(data), *_marks(data)],
        "layout": theme.layout(
            "time (UTC)",
            barmode="overlay",
            showlegend=True,
            hovermode="closest",
            margin={"l": 16, "r": 70, "t": 28, "b": 36},
            xaxis={"type": "date"},
            yaxis={
                "autorange": "reversed", "showgrid": False, "type": "category", "automargin": True, "ticks": "",
                "categoryorder": "array", "categoryarray": [theme.plain(lane) for lane in data.idle],
            },
            annotations=list(_idle_labels(data)),
            uniformtext={"mode": "hide", "minsize": 9},
            meta=look.caption(look.few_of(len(data.bars), data.count, "attempts")),
        ),
    }  # fmt: skip


def _bars(data: Timeline) -> Iterator[Json]:
    """One trace a state, so that each has a place in the legend."""
    for name, colour in COLOURS.items():
        if bars := [bar for bar in data.bars if bar.attempt.state == name]:
            yield _trace(data, bars, name, colour)


def _trace(data: Timeline, bars: Sequence[Bar], name: str, colour: str) -> Json:
    numbers = [str(bar.attempt.trial) for bar in bars] if len(data.bars) <= MOST_NUMBERED else ""
    return {
        "type": "bar", "orientation": "h", "name": name, "y": [theme.plain(bar.lane) for bar in bars], "width": 0.62,
        "base": [_drawn_at(data, bar.attempt.began) for bar in bars],
        "x": [1000 * (bar.attempt.ended - bar.attempt.began) for bar in bars],
        "text": numbers, "textposition": "inside", "insidetextanchor": "middle", "textangle": 0,
        "insidetextfont": {"size": 10, "color": "--surface"}, "meta": {"points": "trials"},
        "marker": {"color": colour, "line": {"width": 1, "color": "--surface"}},
        "customdata": [_told(bar.attempt) for bar in bars],
        "hovertemplate": "trial %{customdata[0]}, %{customdata[1]}<extra></extra>",
    }  # fmt: skip


def _told(one: Try) -> list[int | str]:
    seed = f"{one.role} seed {one.seed}" if one.role != "tune" else f"seed {one.seed}"
    again = f", attempt {one.number}" if one.number > 1 else ""
    resumed = f" from step {one.resumed_from:,}" if one.resumed_from else ""
    return [one.trial, f"{seed}{again}{resumed}: {one.state} after {_length(one.ended - one.began)}"]


def _length(seconds: float) -> str:
    unit, size, _ = next(unit for unit in phases.UNITS if seconds >= unit[2])
    return f"{seconds / size:.3g} {unit}"


def _marks(data: Timeline) -> Iterator[Json]:
    """Where an attempt went on from a checkpoint, and where one was lost."""
    resumed = [(bar, bar.attempt.began) for bar in data.bars if bar.attempt.resumed_from]
    lost = [(bar, bar.attempt.ended) for bar in data.bars if bar.attempt.state == "lost"]
    for name, found, symbol, colour in (
        ("resumed", resumed, "triangle-right", "--ink"),
        ("lost here", lost, "x", "--bad"),
    ):
        if found:
            yield {
                "type": "scatter", "mode": "markers", "name": name, "y": [theme.plain(bar.lane) for bar, _ in found],
                "x": [_drawn_at(data, moment) for _, moment in found], "hoverinfo": "skip",
                "marker": {"size": 8, "symbol": symbol, "color": colour, "line": {"width": 1, "color": "--surface"}},
            }  # fmt: skip


def _drawn_at(data: Timeline, seconds: float) -> float:
    """Plotly's dates are milliseconds since the epoch."""
    return 1000 * (data.origin.astimezone(UTC).timestamp() + seconds)


def _idle_labels(data: Timeline) -> Iterator[Json]:
    for lane, share in data.idle.items():
        where = {"xref": "paper", "xshift": 8, "font": {"size": 10, "color": "--ink-3"}}
        yield theme.label(f"{share:.0%} idle", 1, theme.plain(lane), **where)
