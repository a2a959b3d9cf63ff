"""A timing in words, for people."""

from __future__ import annotations

import cron_descriptor  # type: ignore[import-untyped]

from webapp.sweeps.scheduling.times import Timing, local

UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def words(timing: Timing) -> str:
    """ "At 08:00, Monday through Friday", "Every 5 minutes", "Once, on 1 December 2026 at 08:00"."""
    if timing.interval_s:
        return _interval(timing.interval_s)
    if timing.at:
        return f"Once, on {local(timing.at, timing.timezone):%-d %B %Y at %H:%M}"
    return _cron(timing.cron)


def _interval(seconds: int) -> str:
    size, unit = next((size, unit) for size, unit in UNITS if seconds % size == 0)
    number = seconds // size
    return f"Every {unit}" if number == 1 else f"Every {number:,} {unit}s"


def _cron(cron: str) -> str:
    minute, hour, day, month, weekday = cron.split()
    if any("," in part and "/" in part for part in cron.split()):
        return cron  # the library muddles these
    if day.startswith("*") or weekday.startswith("*"):
        return _described(cron)
    # Either day will do, by cron's rule; the library says that both must fit.
    parts = [_described(f"{minute} {hour} {day} * *"), f"or {_limit(f'* * * * {weekday}').removeprefix('only ')}"]
    return ", ".join([*parts, *([_limit(f"* * * {month} *")] if month != "*" else [])])


def _limit(cron: str) -> str:
    return _described(cron).removeprefix("Every minute, ")


def _described(cron: str) -> str:
    options = cron_descriptor.Options()
    options.locale_code, options.use_24hour_time_format = "en_US", True  # whatever the server's locale is
    try:
        return str(cron_descriptor.get_description(cron, options))
    except (cron_descriptor.FormatException, cron_descriptor.MissingFieldException):
        return cron
