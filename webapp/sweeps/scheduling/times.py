"""When a schedule fires: computed here for what is shown and for what fires alike, so that the two never differ.

Cron expressions mean what Debian's cron(8) makes of them (cronsim): a fixed time that the clocks skip in spring comes
right after the gap, one that they repeat in autumn comes once; `*` in the minutes or hours follows the real hours.
Every moment in and out is aware and in UTC: Python compares two local times of one zone without their offsets.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, takewhile
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from webapp.sweeps.models import Schedule

SECOND = timedelta(seconds=1)
MOST_COUNTED = 1000  # nobody reads a longer count
UNREADABLE = (CronSimError, ZoneInfoNotFoundError, OverflowError)  # a timing that was good once, before an upgrade


class Timing(NamedTuple):
    """One of `cron`, `interval_s` and `at`."""

    cron: str = ""
    interval_s: int | None = None
    at: datetime | None = None
    timezone: str = "UTC"


def timing_of(schedule: Schedule) -> Timing:
    return Timing(schedule.cron, schedule.interval_s, schedule.at, schedule.timezone)


def after(timing: Timing, cursor: datetime) -> Iterator[datetime]:
    """Its times after `cursor`, rising. An interval counts from `cursor`: one of its times, or where it began."""
    if timing.interval_s:
        return _steps(cursor.astimezone(UTC), timedelta(seconds=timing.interval_s))
    if timing.at:
        return iter([timing.at.astimezone(UTC)] if timing.at > cursor else [])
    return _cron_times(timing, cursor.astimezone(UTC))


def next_after(timing: Timing, cursor: datetime) -> datetime | None:
    """The first time after `cursor`; None when none is left."""
    return next(after(timing, cursor), None)


def newest(timing: Timing, cursor: datetime, until: datetime) -> datetime:
    """The last time after `cursor` and not after `until`, between which there must be one.

    A few dozen look-ups even for years of minutes: whether another time lies before `until` is bisected.
    """
    if timing.interval_s:
        step = timedelta(seconds=timing.interval_s)
        return cursor.astimezone(UTC) + (until - cursor) // step * step
    low, high = cursor.astimezone(UTC), until.astimezone(UTC)
    while high - low > SECOND:
        middle = low + (high - low) / 2
        if (found := next_after(timing, middle)) is not None and found <= until:
            low = middle
        else:
            high = middle
    return next(after(timing, low))


def count(timing: Timing, cursor: datetime, until: datetime) -> int:
    """How many times lie after `cursor` and not after `until`; MOST_COUNTED when there are more."""
    return sum(1 for _ in islice(takewhile(lambda time: time <= until, after(timing, cursor)), MOST_COUNTED))


@cache
def zones() -> list[str]:
    """The names of all time zones, by name."""
    return sorted(name for name in available_timezones() if name not in ("localtime", "posixrules", "Factory"))


def local(moment: datetime, timezone: str) -> datetime:
    return moment.astimezone(ZoneInfo(timezone))


def _steps(start: datetime, step: timedelta) -> Iterator[datetime]:
    while True:
        start += step
        yield start


def _cron_times(timing: Timing, cursor: datetime) -> Iterator[datetime]:
    """Rising even where cronsim, which drops the offset, goes back: within the hour that autumn repeats."""
    for time in CronSim(timing.cron, local(cursor, timing.timezone)):
        moment = time.astimezone(UTC)
        if moment > cursor:
            cursor = moment
            yield moment
