"""When each phase of each attempt began and ended: one bar an attempt, from the start of the run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.utils import timezone

from webapp.charts import theme
from webapp.charts.theme import Json
from webapp.runs.models import Attempt, Run

STARTING = "starting"  # from the claim to the first phase
UNITS = [("h", 3600.0, 2 * 3600.0), ("min", 60.0, 120.0), ("s", 1.0, 0.0)]  # unit, seconds, from which length on


class Segment(NamedTuple):
    """`begin` and `end` in seconds since the run started; `step` at which the phase began."""

    attempt: int
    phase: str
    begin: float
    end: float
    step: int


class Ending(NamedTuple):
    """How an attempt stands, at the end of its bar."""

    attempt: int
    status: str
    at: float


class PhasesData(NamedTuple):
    segments: list[Segment]
    endings: list[Ending]


def data(run: Run, now: datetime | None = None) -> PhasesData:
    """An attempt that is not over goes on until `now`."""
    attempts = list(run.attempts.prefetch_related("phases").order_by("number"))
    if not attempts:
        return PhasesData([], [])
    origin, now = attempts[0].started_at, now or timezone.now()
    segments = [segment for attempt in attempts for segment in _segments(attempt, origin, now)]
    endings = [Ending(a.number, a.status, ((a.ended_at or now) - origin).total_seconds()) for a in attempts]
    return PhasesData(segments, endings)


def figure(data: PhasesData) -> Json:
    """One trace a phase, so that it has one colour in all attempts."""
    longest = max((segment.end for segment in data.segments), default=0.0)
    unit, seconds, _ = next(unit for unit in UNITS if longest >= unit[2])
    names = list(dict.fromkeys(segment.phase for segment in data.segments))
    colours = dict(zip((name for name in names if name != STARTING), theme.SERIES * len(names), strict=False))
    return {
        "data": [_trace(name, data, colours.get(name, "--ink-3/0.35"), unit, seconds) for name in names],
        "layout": theme.layout(
            f"{unit} since the start",
            barmode="overlay",
            showlegend=True,
            hovermode="closest",
            margin={"l": 74, "r": 84, "t": 28, "b": 36},
            xaxis={"rangemode": "tozero"},
            yaxis={"autorange": "reversed", "showgrid": False, "type": "category"},
            annotations=[
                theme.label(ending.status.replace("_", " "), ending.at / seconds, _row(ending.attempt), xshift=6)
                for ending in data.endings
            ],
        ),
    }


def _trace(name: str, data: PhasesData, colour: str, unit: str, seconds: float) -> Json:
    segments = [segment for segment in data.segments if segment.phase == name]
    told = "%{customdata[1]:.3g} to %{customdata[2]:.3g}"
    return {
        "type": "bar",
        "orientation": "h",
        "name": theme.plain(name),
        "y": [_row(segment.attempt) for segment in segments],
        "base": [segment.begin / seconds for segment in segments],
        "x": [(segment.end - segment.begin) / seconds for segment in segments],
        "customdata": [[s.step, s.begin / seconds, s.end / seconds] for s in segments],
        "width": 0.45,
        "marker": {"color": colour},
        "hovertemplate": f"{theme.plain(name)} from step %{{customdata[0]:,}}: {told} {unit}<extra></extra>",
    }


def _row(attempt: int) -> str:
    return f"attempt {attempt}"


def _segments(attempt: Attempt, origin: datetime, now: datetime) -> Iterator[Segment]:
    """The clocks of the database and of the training machine may differ, so no segment ends before it begins."""
    marks = list(attempt.phases.all())
    begins = [attempt.started_at, *(mark.at for mark in marks), attempt.ended_at or now]
    names = [(STARTING, 0), *((mark.name, mark.step) for mark in marks)]
    at = 0.0
    for (name, step), begin, end in zip(names, begins, begins[1:], strict=False):
        start = max((begin - origin).total_seconds(), at)
        at = max((end - origin).total_seconds(), start)
        if at > start:
            yield Segment(attempt.number, name, start, at, step)
