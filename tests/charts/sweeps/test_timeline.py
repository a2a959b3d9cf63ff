from __future__ import annotations

import itertools

import pytest

from tests.charts.figures import validated
from tests.charts.sweeps.scene import START, at, make_attempt, make_run, make_sweep, make_trial
from webapp.charts.sweeps import timeline
from webapp.charts.sweeps.timeline import Try
from webapp.runs.models import Attempt
from webapp.runs.states import Status
from webapp.sweeps.states import TrialStatus


def attempt(trial: int, began: float, ended: float, worker: str = "a", gpus: int = 1) -> Try:
    return Try(trial, 1, worker, gpus, began, ended, "succeeded")


def test_an_attempt_takes_the_first_slot_of_its_worker_that_is_free() -> None:
    data = timeline.of(START, [
        attempt(1, 0, 10), attempt(2, 1, 4), attempt(3, 2, 6, worker="b"), attempt(4, 4, 8), attempt(5, 10, 20),
    ])  # fmt: skip
    assert [(bar.lane, bar.attempt.trial) for bar in data.bars] == [
        ("a · 1", 1), ("a · 2", 2), ("b · 1", 3), ("a · 2", 4), ("a · 1", 5),
    ]  # fmt: skip


def test_no_two_bars_of_a_slot_overlap_and_idle_is_what_is_left() -> None:
    attempts = [attempt(n, 3.0 * n, 3.0 * n + 7.0) for n in range(30)]
    data = timeline.of(START, attempts)
    assert len(data.idle) == 3  # ceil(7 / 3) at once
    for lane, idle in data.idle.items():
        spells = sorted((bar.attempt.began, bar.attempt.ended) for bar in data.bars if bar.lane == lane)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spells))
        assert idle == pytest.approx(1 - 7.0 * len(spells) / data.length)


def test_slots_are_in_the_order_of_their_numbers() -> None:
    data = timeline.of(START, [attempt(n, 0, 5) for n in range(11)])
    assert list(data.idle) == [f"a · {n}" for n in range(1, 12)]


def test_an_attempt_on_two_devices_takes_two_slots() -> None:
    data = timeline.of(START, [attempt(1, 0, 10), attempt(2, 1, 5, gpus=2), attempt(3, 5, 10, gpus=2)])
    assert [bar.lane for bar in data.bars] == ["a · 1", "a · 2", "a · 3", "a · 2", "a · 3"]


@pytest.mark.parametrize(("status", "trial", "told"), [
    (Status.CANCELLED, TrialStatus.STOPPED, "stopped early"), (Status.CANCELLED, TrialStatus.CANCELLED, "cancelled"),
    (Status.OUT_OF_MEMORY, TrialStatus.OUT_OF_MEMORY, "failed"), (Status.LOST, TrialStatus.RUNNING, "lost"),
    (Status.STARTING, TrialStatus.QUEUED, "running"), (Status.SUCCEEDED, TrialStatus.SUCCEEDED, "succeeded"),
])  # fmt: skip
def test_the_state_of_an_attempt_has_a_colour(status: str, trial: str, told: str) -> None:
    assert timeline.state(status, trial) == told
    assert told in timeline.COLOURS


@pytest.mark.django_db
def test_bars_are_the_attempts_of_the_database() -> None:
    sweep = make_sweep()
    run = make_run(make_trial(sweep, 1, [1.0]), began=0, ended=50)
    Attempt.objects.filter(run=run).update(status=Status.LOST, ended_at=at(20))
    make_attempt(run, 2, 30, 50, Status.SUCCEEDED, resumed_from_step=40)
    make_run(make_trial(sweep, 2, None, TrialStatus.RUNNING, ended_at=None), began=20, ended=None,
             status=Status.RUNNING, worker="gpu-<b>")  # fmt: skip
    data = timeline.data(sweep, now=at(100))
    told = [(lane, one.trial, one.began, one.ended, one.state) for lane, one in data.bars]
    assert told == [
        ("gpu-a · 1", 1, 0, 20, "lost"), ("gpu-<b> · 1", 2, 20, 100, "running"), ("gpu-a · 1", 1, 30, 50, "succeeded"),
    ]  # fmt: skip
    assert data.idle == {"gpu-a · 1": pytest.approx(0.6), "gpu-<b> · 1": pytest.approx(0.2)}
    figure = timeline.figure(data)
    validated(figure)
    drawn = {trace["name"]: trace for trace in figure["data"]}
    assert drawn["succeeded"]["base"] == [START.timestamp() * 1000 + 30_000]
    assert drawn["succeeded"]["x"] == [20_000]
    assert drawn["resumed"]["x"] == drawn["succeeded"]["base"]
    assert drawn["lost here"]["x"] == [START.timestamp() * 1000 + 20_000]
    assert drawn["running"]["y"] == ["gpu-&lt;b&gt; · 1"]
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["20% idle", "60% idle"]


def test_thousands_of_attempts_show_the_latest_and_count_them_all() -> None:
    data = timeline.of(START, [attempt(n, float(n), n + 1.0) for n in range(5000)])
    assert len(data.bars) == timeline.MOST_BARS
    assert data.bars[-1].attempt.trial == 4999
    assert data.idle == {"a · 1": 0.0}
    assert timeline.figure(data)["layout"]["meta"]["caption"] == "1,000 of 5,000 attempts drawn"
