"""How long a job will take, from what was measured on jobs of a similar size."""

from __future__ import annotations

import math

import pytest

from tests.runs import scene
from webapp.runs import actions
from webapp.runs.forecast import NEAREST_RUNS, forecast, measured
from webapp.runs.models import Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


def ran(per_step: float, steps: int, seconds: float, status: Status = Status.SUCCEEDED) -> Run:
    attempt = scene.claimed()
    actions.started(attempt, {"flops": {"total": per_step * steps, "per_step": per_step}}, {}, 0, steps)
    return actions.finish(attempt, status, result={"wall_time_s": seconds})


def test_nothing_measured_is_nothing_told() -> None:
    assert forecast(1e12, 1e9) == (None, None, 0)


def test_a_job_like_one_that_ran_takes_as_long() -> None:
    ran(1e9, 1000, 50.0)
    found = forecast(1e12, 1e9)
    assert found.seconds is not None and math.isclose(found.seconds, 50.0)
    assert found.measured_runs == 1
    twice = forecast(2e12, 1e9).seconds
    assert twice is not None and math.isclose(twice, 100.0)


def test_only_runs_of_the_nearest_size_count() -> None:
    for _ in range(NEAREST_RUNS):
        ran(1e9, 1, 1.0)  # 1 GFLOP/s
        ran(1e12, 1, 10.0)  # 100 GFLOP/s
    small, large = forecast(1e9, 2e9).seconds, forecast(1e12, 5e11).seconds
    assert small is not None and math.isclose(small, 1.0)
    assert large is not None and math.isclose(large, 10.0)


def test_runs_that_failed_were_deleted_or_say_nonsense_do_not_count() -> None:
    ran(1e9, 10, 1.0, Status.FAILED)
    actions.delete(ran(1e9, 10, 1.0))
    for seconds in (0.0, -1.0, float("nan")):
        ran(1e9, 10, seconds)
    assert measured() == []


@pytest.mark.parametrize("unknown", [None, 0, -1.0, "NaN"])
def test_a_job_without_a_known_size_gets_no_time(unknown) -> None:
    ran(1e9, 10, 1.0)
    assert forecast(unknown, 1e9) == (None, None, 0)
    assert forecast(1e9, unknown) == (None, None, 0)
