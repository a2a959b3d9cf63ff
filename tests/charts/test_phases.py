from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.charts.figures import is_shown_in_every_figure, validated
from webapp.charts import phases
from webapp.runs.models import Attempt, PhaseMark, Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def make_attempt(
    run: Run, number: int, began: float, ended: float | None, status: str, *marks: tuple[str, float]
) -> None:
    attempt = Attempt.objects.create(
        run=run, number=number, worker_name="w", status=status, started_at=at(began),
        ended_at=None if ended is None else at(ended),
    )  # fmt: skip
    for name, moment in marks:
        PhaseMark.objects.create(attempt=attempt, name=name, step=int(moment), at=at(moment))


def test_a_phase_lasts_until_the_next_and_the_last_until_the_attempt_ends(run: Run) -> None:
    make_attempt(run, 1, 0, 50, Status.LOST, ("train", 2), ("evaluate", 40))
    make_attempt(run, 2, 60, None, Status.RUNNING, ("train", 61))
    data = phases.data(run, now=at(100))
    assert [segment[:4] for segment in data.segments] == [
        (1, "starting", 0, 2), (1, "train", 2, 40), (1, "evaluate", 40, 50),
        (2, "starting", 60, 61), (2, "train", 61, 100),
    ]  # fmt: skip
    assert [(ending.status, ending.at) for ending in data.endings] == [("lost", 50), ("running", 100)]


def test_a_phase_has_one_colour_in_all_attempts(run: Run) -> None:
    make_attempt(run, 1, 0, 50, Status.LOST, ("train", 0), ("evaluate", 40))
    make_attempt(run, 2, 60, 90, Status.SUCCEEDED, ("train", 60), ("evaluate", 80))
    figure = phases.figure(phases.data(run))
    assert is_shown_in_every_figure(figure)
    assert [trace["name"] for trace in figure["data"]] == ["train", "evaluate"]
    assert figure["data"][0]["y"] == ["attempt 1", "attempt 2"]
    assert figure["data"][0]["base"] == [0, 60]
    assert figure["data"][0]["x"] == [40, 20]
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["lost", "succeeded"]


@pytest.mark.parametrize(("length", "unit"), [(90, "s"), (600, "min"), (36_000, "h")])
def test_the_unit_fits_the_length(run: Run, length: float, unit: str) -> None:
    make_attempt(run, 1, 0, length, Status.SUCCEEDED, ("train", 0))
    figure = phases.figure(phases.data(run))
    assert figure["layout"]["xaxis"]["title"]["text"] == f"{unit} since the start"
    seconds = {"s": 1, "min": 60, "h": 3600}[unit]
    assert figure["data"][0]["x"] == [length / seconds]


def test_clocks_that_disagree_turn_no_bar_around(run: Run) -> None:
    make_attempt(run, 1, 0, 10, Status.SUCCEEDED, ("train", -5), ("evaluate", 12))
    segments = phases.data(run).segments
    assert all(segment.end > segment.begin >= 0 for segment in segments)


def test_a_run_that_waits_has_no_phases(run: Run) -> None:
    assert validated(phases.figure(phases.data(run))).data == ()
