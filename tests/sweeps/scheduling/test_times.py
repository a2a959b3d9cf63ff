"""Times follow cron(8): what Debian's manual says of clock changes is the reference, minute by minute below."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from webapp.sweeps.scheduling import clock, times
from webapp.sweeps.scheduling.checking import local_time, wrong_with
from webapp.sweeps.scheduling.times import Timing
from webapp.sweeps.scheduling.words import words

BERLIN = ZoneInfo("Europe/Berlin")
QUICK = (Phase.explicit, Phase.generate)
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)  # 02:00 becomes 03:00; 03:00 becomes 02:00


def of_day(cron: str, day: date, zone: str = "Europe/Berlin") -> list[str]:
    """The times of one local day, as "02:30+0200"."""
    start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) - timedelta(seconds=1)
    found = islice(times.after(Timing(cron=cron, timezone=zone), start.astimezone(UTC)), 2000)
    local = (times.local(moment, zone) for moment in found)
    return [f"{moment:%H:%M%z}" for moment in local if moment.date() == day]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 2 * * *", ["03:00+0200"]),  # skipped: right after the gap
        ("0 3 * * *", ["03:00+0200"]),
        ("30 1,2,3 * * *", ["01:30+0100", "03:00+0200", "03:30+0200"]),
        ("0 2,3 * * *", ["03:00+0200"]),  # both at one moment: once
        ("0,30 */1 * * *", None),  # by the real hours: none of the skipped hour
        ("* 2 * * *", []),
    ],
)
def test_in_spring_a_skipped_time_comes_right_after_the_gap(cron: str, expected: list[str] | None) -> None:
    found = of_day(cron, SPRING)
    if expected is None:
        assert len(found) == 46
        assert not [time for time in found if time.startswith("02")]
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 2 * * *", ["02:30+0200"]),  # repeated: once
        ("0 2 * * *", ["02:00+0200"]),
        ("0 3 * * *", ["03:00+0100"]),
        ("15,45 2 * * *", ["02:15+0200", "02:45+0200"]),
        ("0 */2 * * *", ["00:00+0200", "02:00+0200", "02:00+0100"]),  # by the real hours: both
    ],
)
def test_in_autumn_a_repeated_time_comes_once(cron: str, expected: list[str]) -> None:
    assert of_day(cron, AUTUMN)[: len(expected)] == expected
    assert len(of_day("*/30 * * * *", AUTUMN)) == 50


def test_a_day_of_every_minute_has_as_many_minutes_as_the_day() -> None:
    assert [len(of_day("* * * * *", day)) for day in (SPRING, AUTUMN, date(2026, 6, 1))] == [23 * 60, 25 * 60, 24 * 60]


def test_from_within_the_repeated_hour_no_time_lies_before_the_start() -> None:
    second = datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN, fold=1).astimezone(UTC)
    found = times.next_after(Timing(cron="30 2 * * *", timezone="Europe/Berlin"), second)
    assert found == datetime(2026, 10, 26, 2, 30, tzinfo=BERLIN)


def test_either_day_will_do_when_both_are_given() -> None:
    days = islice(times.after(Timing(cron="0 0 13 * FRI"), datetime(2026, 11, 1, tzinfo=UTC)), 5)
    assert [day.day for day in days] == [6, 13, 20, 27, 4]  # Fridays, and the 13th, which is one
    days = islice(times.after(Timing(cron="0 0 1 * FRI"), datetime(2026, 11, 25, tzinfo=UTC)), 3)
    assert [day.day for day in days] == [27, 1, 4]


def test_an_interval_counts_from_its_cursor_through_a_clock_change() -> None:
    start = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    found = list(islice(times.after(Timing(interval_s=3600, timezone="Europe/Berlin"), start), 3))
    assert found == [start + timedelta(hours=hours) for hours in (1, 2, 3)]


def test_one_time_comes_once() -> None:
    at = datetime(2026, 12, 1, 8, tzinfo=BERLIN)
    timing = Timing(at=at, timezone="Europe/Berlin")
    assert times.next_after(timing, at - timedelta(seconds=1)) == at
    assert times.next_after(timing, at) is None


CRONS = [
    "* * * * *",
    "*/7 * * * *",
    "30 2 * * *",
    "0 */5 * * *",
    "0 0 1 * *",
    "15 3 * * MON",
    "0 0 29 2 *",
    "5 2,3 * * *",
]
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))


@settings(max_examples=100, deadline=None, phases=QUICK)
@given(
    st.sampled_from(CRONS),
    MOMENTS,
    st.timedeltas(timedelta(0), timedelta(days=9)),
    st.sampled_from(["Europe/Berlin", "UTC", "Asia/Kolkata"]),
)
def test_the_newest_time_is_the_last_of_those_counted(cron: str, cursor: datetime, span: timedelta, zone: str) -> None:
    """`newest` and `count` are shortcuts for walking through all times."""
    timing, until = Timing(cron=cron, timezone=zone), cursor + span
    walked = list(takewhile(lambda time: time <= until, times.after(timing, cursor)))
    assert times.count(timing, cursor, until) == min(len(walked), times.MOST_COUNTED)
    assert walked == sorted(set(walked))
    if walked:
        assert times.newest(timing, cursor, until) == walked[-1]


@given(st.integers(60, 10**6), MOMENTS, st.integers(0, 10**8))
def test_the_newest_time_of_an_interval(interval_s: int, cursor: datetime, seconds: int) -> None:
    timing, until = Timing(interval_s=interval_s), cursor + timedelta(seconds=interval_s + seconds)
    newest = times.newest(timing, cursor, until)
    assert (newest - cursor) % timedelta(seconds=interval_s) == timedelta(0)
    assert timedelta(0) <= until - newest < timedelta(seconds=interval_s)


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("0 0 31 2 *", "'0 0 31 2 *' would never fire: there is no such day."),
        ("0 0 31 4,6 *", "would never fire"),
        ("0 0 8 * * *", "five fields, minute hour day-of-month month day-of-week (seconds are not counted)"),
        ("@daily", "five fields"),
        ("61 * * * *", "The minute of cron is 0 to 59, *, a range (1-5), a list (1,3) or a step (*/2), not '61'."),
        ("0 24 * * *", "The hour of cron is 0 to 23"),
        ("0 0 32 * *", "The day-of-month of cron is 1 to 31, L or LW, *, a range"),
        ("0 0 * 13 *", "The month of cron is 1 to 12 or JAN to DEC"),
        ("0 0 * * 8", "The day-of-week of cron is 0 to 7"),
        ("0 0 * * " + ",".join(["1"] * 40), "64 in a field"),
    ],
)  # fmt: skip
def test_a_wrong_cron_is_told_with_its_field_rule_and_value(cron: str, says: str) -> None:
    assert says in wrong_with(Timing(cron=cron))["cron"]


@pytest.mark.parametrize(
    "cron", ["0 0 29 2 *", "0 0 31 2 MON", "0 0 L * *", "0 9 * * MON#1", "5-10/2 3 * JAN,feb sun", "0 0 * * 7"]
)
def test_a_good_cron_is_not_refused(cron: str) -> None:
    assert wrong_with(Timing(cron=cron, timezone="Europe/Berlin")) == {}


@settings(max_examples=300, deadline=None, phases=QUICK)
@given(st.text("0123456789*/,-#LWMONFRI² ½", max_size=40))
def test_whatever_is_written_is_accepted_or_refused_with_a_sentence(cron: str) -> None:
    found = wrong_with(Timing(cron=cron))
    assert found == {} or all(sentence.endswith(".") for sentence in found.values())


@pytest.mark.parametrize(
    ("timing", "field", "says"),
    [
        (Timing(), "cron", "Give one of cron, interval_s and at, none of which is given."),
        (Timing("* * * * *", 60), "cron", "Give one of cron, interval_s and at, not cron and interval_s."),
        (Timing(interval_s=59), "interval_s", "interval_s must be 60 to 31,622,400 seconds, not 59."),
        (Timing(interval_s=10**9), "interval_s", "not 1,000,000,000."),
        (Timing(interval_s=0), "interval_s", "not 0."),
        (Timing("* * * * *", timezone="Europe/Atlantis"), "timezone", "There is no time zone 'Europe/Atlantis'"),
        (Timing(at=datetime(2020, 1, 1, tzinfo=UTC)), "at", "at must lie in the future"),
        (Timing(at=datetime(2030, 1, 1)), "at", "at must name its offset"),
        (Timing(at=datetime(9999, 12, 31, tzinfo=UTC)), "at", "within the next 10 years"),
    ],
)
def test_a_wrong_timing_names_its_field(timing: Timing, field: str, says: str) -> None:
    assert says in wrong_with(timing)[field]


def test_a_local_time_that_does_not_exist_is_refused() -> None:
    from webapp.sweeps.errors import Invalid

    with pytest.raises(Invalid, match="02:30 does not exist on 29 March 2026 in Europe/Berlin"):
        local_time(datetime(2026, 3, 29, 2, 30), "Europe/Berlin")
    assert local_time(datetime(2026, 10, 25, 2, 30), "Europe/Berlin").isoformat() == "2026-10-25T02:30:00+02:00"
    with pytest.raises(Invalid, match="within the next 10 years"):
        local_time(datetime(1, 1, 1), "Europe/Berlin")


@pytest.mark.parametrize(
    ("timing", "said"),
    [
        (Timing("*/5 * * * *"), "Every 5 minutes"),
        (Timing("0 8 * * MON-FRI"), "At 08:00, Monday through Friday"),
        (Timing("0 0 13 * FRI"), "At 00:00, on day 13 of the month, or on Friday"),
        (Timing("0 0 13 1 FRI"), "At 00:00, on day 13 of the month, or on Friday, only in January"),
        (Timing("*/7,3 * * * *"), "*/7,3 * * * *"),
        (Timing(interval_s=60), "Every minute"),
        (Timing(interval_s=5400), "Every 90 minutes"),
        (Timing(interval_s=2 * 86_400), "Every 2 days"),
        (
            Timing(at=datetime(2026, 12, 1, 7, tzinfo=UTC), timezone="Europe/Berlin"),
            "Once, on 1 December 2026 at 08:00",
        ),
    ],
)
def test_a_timing_is_told_in_words(timing: Timing, said: str) -> None:
    assert words(timing) == said


def test_the_clock_is_aware() -> None:
    assert clock.now().tzinfo is not None
