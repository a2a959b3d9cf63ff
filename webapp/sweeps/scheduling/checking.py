"""The rules of a schedule: its name, when it fires, what it does, what becomes of missed times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from webapp.accounts.models import Project, User
from webapp.runs import fields
from webapp.sweeps.errors import FieldError, Invalid
from webapp.sweeps.models import Schedule
from webapp.sweeps.scheduling import acting, clock
from webapp.sweeps.scheduling.times import Timing, next_after, zones

SHORTEST_INTERVAL_S = 60  # shorter than this, and a schedule is a loop
LONGEST_INTERVAL_S = 366 * 86_400
MOST_YEARS_AHEAD = 10
TOO_FAR = f"at must lie within the next {MOST_YEARS_AHEAD} years."
LONGEST_CRON = 200
LONGEST_CRON_FIELD = 64  # the narrowest column of django-celery-beat
WHEN = ("cron", "interval_s", "at")
CRON_FIELDS = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, L or LW",
    "month": "1 to 12 or JAN to DEC",
    "day-of-week": "0 to 7 or SUN to SAT",
}


def checked(project: Project, user: User | None, values: Mapping[str, Any], *, acts: bool = True) -> dict[str, Any]:
    """The columns of a schedule. Raises Invalid with every broken rule.

    `values` has every field that a person sets; `acts`: the action is checked too, as what `user` would queue.
    """
    errors: list[FieldError] = []
    columns = {**values, **fields.checked(errors, name=values["name"])}
    timing = Timing(*(values[name] for name in (*WHEN, "timezone")))
    errors += [{"loc": [name], "msg": message} for name, message in wrong_with(timing, values["enabled"]).items()]
    if values["missed"] not in Schedule.Missed.values:
        message = f"missed must be {' or '.join(Schedule.Missed.values)}, not {values['missed']!r}."
        errors.append({"loc": ["missed"], "msg": message})
    if acts:
        errors += _wrong_action(values["action"], project, user)
    if errors:
        raise Invalid(errors)
    return {**columns, "cron": " ".join(timing.cron.split())}


def wrong_with(timing: Timing, enabled: bool = True) -> dict[str, str]:
    """What is wrong with a timing: {field: sentence}. A time that is past is wrong only where it is to come."""
    named = [name for name, value in zip(WHEN, timing, strict=False) if value not in ("", None)]
    if len(named) != 1:
        given = f"not {' and '.join(named)}" if named else "none of which is given"
        return {named[0] if named else "cron": f"Give one of cron, interval_s and at, {given}."}
    found: dict[str, str] = {}
    if timing.timezone not in zones():
        found["timezone"] = f"There is no time zone {timing.timezone!r}; a name is like Europe/Berlin or UTC."
        timing = timing._replace(timezone="UTC")
    if timing.cron and (message := _wrong_cron(timing)):
        found["cron"] = message
    if timing.interval_s is not None and (message := _wrong_interval(timing.interval_s)):
        found["interval_s"] = message
    if timing.at is not None and (message := _wrong_time(timing.at, enabled)):
        found["at"] = message
    return found


def local_time(naive: datetime, timezone: str) -> datetime:
    """A time that a zone's clocks show; the first of two where autumn shows it twice. Invalid in spring's gap."""
    if abs(naive.year - clock.now().year) > MOST_YEARS_AHEAD:
        raise Invalid.field("at", TOO_FAR)
    moment = naive.replace(tzinfo=ZoneInfo(timezone))
    if moment.astimezone(UTC).astimezone(moment.tzinfo).replace(tzinfo=None) != naive:
        message = f"{naive:%H:%M} does not exist on {naive:%-d %B %Y} in {timezone}: its clocks skip that hour."
        raise Invalid.field("at", message)
    return moment


def _wrong_cron(timing: Timing) -> str:
    parts = timing.cron.split()
    if len(parts) != 5:
        rule = "five fields, minute hour day-of-month month day-of-week (seconds are not counted)"
        return f"cron must have {rule}; {timing.cron[:LONGEST_CRON]!r} has {len(parts)}."
    if len(timing.cron) > LONGEST_CRON or max(map(len, parts)) > LONGEST_CRON_FIELD:
        return f"cron must have at most {LONGEST_CRON} characters, and {LONGEST_CRON_FIELD} in a field."
    try:
        ever = next_after(timing, clock.now())
    except CronSimError as error:
        return _wrong_field(str(error).removeprefix("Bad "), parts)
    return "" if ever else _never(timing.cron)


def _wrong_field(name: str, parts: list[str]) -> str:
    """cronsim says "day-of-month" of two things: of a field that can't be read, and of a day that no month has."""
    part = parts[list(CRON_FIELDS).index(name)]
    if name == "day-of-month" and _is_day(part):
        return _never(" ".join(parts))
    return f"The {name} of cron is {CRON_FIELDS[name]}, *, a range (1-5), a list (1,3) or a step (*/2), not {part!r}."


def _is_day(part: str) -> bool:
    try:
        CronSim(f"0 0 {part} * *", clock.now())
    except CronSimError:
        return False
    return True


def _never(cron: str) -> str:
    return f"{cron!r} would never fire: there is no such day. Choose another day or month."


def _wrong_interval(seconds: int) -> str:
    if SHORTEST_INTERVAL_S <= seconds <= LONGEST_INTERVAL_S:
        return ""
    return f"interval_s must be {SHORTEST_INTERVAL_S} to {LONGEST_INTERVAL_S:,} seconds, not {seconds:,}."


def _wrong_time(at: datetime, enabled: bool) -> str:
    if at.tzinfo is None:
        return "at must name its offset from UTC, like 2026-12-01T08:00:00+01:00."
    if enabled and at <= clock.now():
        return f"at must lie in the future, and {at.isoformat()} is past."
    if at.year - clock.now().year > MOST_YEARS_AHEAD:
        return TOO_FAR
    return ""


def _wrong_action(action: Any, project: Project, user: User | None) -> list[FieldError]:
    try:
        acting.check(action, project, user)
    except Invalid as error:
        return error.errors
    return []
