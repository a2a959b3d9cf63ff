"""What a sweep has spent and will spend, and what its budget refuses, on real rows of known times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from tests.runs import scene
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs import actions
from webapp.runs.models import Attempt, Queue, Run
from webapp.runs.states import Status
from webapp.sweeps import budget
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.states import Role, SweepStatus, TrialStatus

pytestmark = pytest.mark.django_db

FLOPS = {"flops": {"total": 4e12, "per_step": 4e10}}  # of 100 steps


def a_sweep(**changes: Any) -> Sweep:
    asked = {
        "spec": {**scene.SPEC, "optimizer": {"name": "adamw"}},
        "search": {"sampler": "random", "space": {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}},
        "objective": {"metric": "eval/loss"},
        "trials": 10,
        "concurrency": 2,
        **changes,
    }
    definition = Definition.model_validate(asked).model_dump(mode="json")
    Queue.objects.get_or_create(name="default")
    return Sweep.objects.create(project=scene.project(), name="s", definition=definition, queue_id="default")


def a_trial(sweep: Sweep, status: str = TrialStatus.RUNNING, **fields: Any) -> Trial:
    return Trial.objects.create(
        sweep=sweep, number=sweep.trials.count() + 1, params={"optimizer.lr": 1e-3}, status=status, **fields
    )


def a_run(trial: Trial, hours: float, facts: Any = FLOPS, role: str = Role.TUNE, **fields: Any) -> Attempt:
    """Under way since `hours`."""
    scene.worker("w2", slots=8) if not Attempt.objects.exists() else None
    attempt = scene.claimed(**fields)
    Replicate.objects.create(trial=trial, run=attempt.run, seed=trial.replicates.filter(role=role).count(), role=role)
    actions.started(attempt, facts, {}, 0, 100)
    Attempt.objects.filter(pk=attempt.pk).update(started_at=Now() - timedelta(hours=hours))
    return attempt


def a_finished_run(trial: Trial, hours: float, facts: Any = FLOPS, **fields: Any) -> Run:
    attempt = a_run(trial, hours, facts, **fields)
    return actions.finish(attempt, Status.SUCCEEDED, result={"wall_time_s": hours * 3600})


def power(run: Run, gpu: int, watts: list[float]) -> None:
    steps = np.arange(len(watts), dtype=np.int64)
    points = Points.of(steps, np.array(watts), steps.astype(float))
    store.append(run.pk, {f"system/gpu{gpu}_power_watts": points})


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-3)  # a test takes no 3 seconds of an hour


def refused(sweep: Sweep, **fields: Any) -> str | None:
    running = list(Run.objects.filter(replicate__trial__sweep=sweep, status__in=["running", "queued"]))
    return budget.refusal(sweep, budget.spent(sweep), running, **fields)


def test_a_sweep_without_runs_has_spent_nothing():
    assert budget.spent(a_sweep()) == (0, 0, 0.0, pytest.approx(0, abs=0.01), 0.0, None)


def test_gpu_hours_are_those_of_all_attempts_times_their_gpus():
    trial = a_trial(a_sweep())
    a_finished_run(trial, 2.0)
    a_finished_run(trial, 1.0, changes={"gpus": 4})
    attempt = a_run(trial, 0.5)
    spent = budget.spent(trial.sweep)
    assert (spent.trials, spent.runs, spent.gpu_hours) == (1, 3, close(2.0 + 4.0 + 0.5))
    actions.finish(attempt, Status.LOST)
    second = scene.claim()
    assert second is not None and second.run_id == attempt.run_id
    Attempt.objects.filter(pk=second.pk).update(started_at=Now() - timedelta(hours=3))
    assert budget.spent(trial.sweep).gpu_hours == close(2.0 + 4.0 + 0.5 + 3.0)


def test_what_other_sweeps_and_single_runs_take_is_not_this_ones():
    one, other = a_sweep(), a_sweep()
    a_finished_run(a_trial(one), 1.0)
    a_finished_run(a_trial(other), 2.0)
    scene.claimed()
    assert {pk: spent.gpu_hours for pk, spent in budget.spent_of([one, other]).items()} == {
        one.pk: close(1.0),
        other.pk: close(2.0),
    }


def test_wall_hours_run_from_the_making_to_the_end():
    sweep = a_sweep()
    Sweep.objects.filter(pk=sweep.pk).update(created_at=Now() - timedelta(hours=5))
    sweep.refresh_from_db()
    assert budget.spent(sweep).wall_hours == close(5.0)
    sweep.ended_at = sweep.created_at + timedelta(hours=2)
    assert budget.spent(sweep).wall_hours == 2.0


def test_flops_of_an_unfinished_run_are_those_of_its_steps():
    trial = a_trial(a_sweep())
    a_finished_run(trial, 1.0)
    actions.progressed(a_run(trial, 1.0), 25)
    a_run(trial, 1.0, facts={"flops": {"total": None, "per_step": None}})
    assert budget.spent(trial.sweep).flops == 4e12 + 1e12


def test_flops_of_steps_that_were_done_twice_count_twice():
    trial = a_trial(a_sweep())
    attempt = a_run(trial, 1.0)
    actions.progressed(attempt, 50)
    actions.finish(attempt, Status.LOST)
    again = scene.claim()
    assert again is not None
    actions.started(again, FLOPS, {}, 20, 100)  # from the checkpoint of step 20
    actions.finish(again, Status.SUCCEEDED)
    assert budget.spent(trial.sweep).flops == pytest.approx(4e12 * (0.5 + 0.8))


def test_energy_is_mean_power_times_time_over_all_gpus():
    trial = a_trial(a_sweep())
    run = a_finished_run(trial, 2.0)
    power(run, 0, [100.0, 300.0])
    power(run, 1, [50.0])
    a_finished_run(trial, 1.0)  # of whose device nothing is known
    assert budget.spent(trial.sweep).energy_kwh == close(2.0 * (200.0 + 50.0) / 1000)


def test_energy_that_no_device_told_is_unknown_and_not_zero():
    trial = a_trial(a_sweep())
    power(a_finished_run(trial, 2.0), 0, [float("nan")])
    assert budget.spent(trial.sweep).energy_kwh is None
    assert budget.forecast(trial.sweep).energy_kwh is None


def test_imported_trials_cost_nothing():
    sweep = a_sweep()
    a_trial(sweep, TrialStatus.SUCCEEDED, source=Trial.Source.IMPORTED)
    assert budget.spent(sweep).trials == 0


def test_spending_takes_two_queries_however_many_runs_there_are(django_assert_num_queries):
    sweeps = [a_sweep(), a_sweep()]
    for sweep in sweeps:
        for _ in range(3):
            a_finished_run(a_trial(sweep), 1.0)
    with django_assert_num_queries(2):
        budget.spent_of(sweeps)


def test_the_forecast_goes_by_the_median_of_runs_that_went_to_their_end():
    sweep = a_sweep(seeds=1)
    for hours in (1.0, 2.0, 9.0):
        a_finished_run(a_trial(sweep, TrialStatus.SUCCEEDED), hours)
    stopped = a_run(a_trial(sweep, TrialStatus.STOPPED), 0.1)
    actions.finish(stopped, Status.CANCELLED)
    found = budget.forecast(sweep)
    assert (found.seconds_per_run, found.measured_runs) == (close(7200), 3)
    assert found.runs_left == 10 - 4
    assert found.gpu_hours == close(6 * 2.0)
    assert found.wall_hours == close(6 * 2.0 / 2)
    assert found.flops == pytest.approx(6 * 4e12)
    assert found.ends_at - datetime.now(UTC) == pytest.approx(timedelta(hours=6), abs=timedelta(minutes=1))


def test_the_forecast_counts_of_what_is_under_way_only_the_rest():
    sweep = a_sweep(trials=2)
    a_finished_run(a_trial(sweep, TrialStatus.SUCCEEDED), 4.0)
    attempt = a_run(a_trial(sweep), 3.0)
    actions.progressed(attempt, 75)
    found = budget.forecast(sweep)
    assert (found.runs_left, found.gpu_hours, found.wall_hours) == (1, close(1.0), close(1.0))
    assert found.flops == close(1e12)


def test_the_forecast_counts_missing_seeds_and_the_winners_test_seeds():
    sweep = a_sweep(trials=5, seeds={"tune": 3, "test": 2})
    a_finished_run(a_trial(sweep, seeds=3), 1.0)  # lacks two
    a_trial(sweep, TrialStatus.FAILED, seeds=3)  # gets no more
    assert budget.forecast(sweep).runs_left == 2 + 3 * 3 + 2
    Sweep.objects.filter(pk=sweep.pk).update(status=SweepStatus.REPORTING)
    sweep.refresh_from_db()
    a_finished_run(sweep.trials.get(number=1), 1.0, role=Role.TEST)
    assert budget.forecast(sweep).runs_left == 1


def test_racing_may_yet_give_all_seeds_to_those_that_succeeded():
    sweep = a_sweep(trials=2, seeds={"tune": 5, "racing": True, "racing_from": 1})
    a_finished_run(a_trial(sweep, TrialStatus.SUCCEEDED, seeds=1), 1.0)
    assert budget.forecast(sweep).runs_left == 4 + 5


def test_a_sweep_that_is_over_takes_nothing_more():
    sweep = a_sweep()
    a_finished_run(a_trial(sweep, TrialStatus.SUCCEEDED), 1.0)
    sweep.status, sweep.ended_at = SweepStatus.STOPPED, datetime(2026, 1, 1, tzinfo=UTC)
    found = budget.forecast(sweep)
    assert (found.runs_left, found.gpu_hours, found.wall_hours, found.ends_at) == (0, 0.0, 0.0, sweep.ended_at)


def test_measured_energy_is_foretold():
    sweep = a_sweep(trials=3)
    power(a_finished_run(a_trial(sweep, TrialStatus.SUCCEEDED), 1.0), 0, [500.0])
    assert budget.forecast(sweep).energy_kwh == close(2 * 0.5)


def test_before_the_start_the_plan_tells_flops_and_earlier_runs_the_time():
    asked = a_sweep(trials=4, seeds={"tune": 3, "test": 2}, concurrency=7).definition
    cold = budget.forecast_of(Definition.model_validate(asked))
    assert (cold.runs_left, cold.seconds_per_run, cold.ends_at, cold.measured_runs) == (14, None, None, 0)
    assert cold.flops is not None
    per_run = cold.flops / 14
    single = scene.claimed()
    actions.started(single, {"flops": {"total": per_run, "per_step": per_run / 100}}, {}, 0, 100)
    actions.finish(single, Status.SUCCEEDED, result={"wall_time_s": 60.0})
    warm = budget.forecast_of(Definition.model_validate(asked))
    assert (warm.seconds_per_run, warm.measured_runs) == (close(60.0), 1)
    assert (warm.gpu_hours, warm.wall_hours) == (close(14 / 60), close(2 / 60))


def test_without_a_budget_nothing_is_refused_and_nothing_is_read():
    sweep = a_sweep()
    with CaptureQueriesContext(connection) as queries:
        assert budget.refusal(sweep, budget.Spent(1, 1, 1e9, 1e9, 1e30, 1e9), []) is None
    assert not len(queries)


def test_a_budget_of_exactly_so_many_runs_takes_them_and_no_more():
    sweep = a_sweep(budget={"flops": 3 * 4e12})
    for done in range(3):
        assert refused(sweep) is None, done
        a_finished_run(a_trial(sweep), 1.0)
    assert refused(sweep) == "The budget of 1.2e+13 FLOPs is spent."


def test_what_is_under_way_is_counted_as_going_to_its_end():
    sweep = a_sweep(budget={"gpu_hours": 2.5})
    a_finished_run(a_trial(sweep), 1.0)
    assert refused(sweep) is None
    actions.progressed(a_run(a_trial(sweep), 0.25), 25)
    assert refused(sweep) == (
        "One more run (about 1 GPU-hours) does not fit into the budget of 2.5 GPU-hours: 1.25 are spent and 0.75 kept "
        "for others."
    )


def test_a_run_that_waits_is_kept_room_for():
    sweep = a_sweep(budget={"gpu_hours": 2.5})
    a_finished_run(a_trial(sweep), 1.0)
    Replicate.objects.create(trial=a_trial(sweep), run=scene.submit(), seed=0)
    assert "1 are spent and 1 kept for others" in str(refused(sweep))


def test_room_is_kept_for_the_test_seeds():
    sweep = a_sweep(budget={"gpu_hours": 3.5})
    a_finished_run(a_trial(sweep), 1.0)
    assert refused(sweep, reserve=1) is None
    assert refused(sweep, reserve=2) is not None


@pytest.mark.parametrize(("hours", "fits"), [(2.1, True), (1.9, False)])
def test_a_run_that_would_outlast_the_wall_clock_is_refused(hours, fits):
    sweep = a_sweep(budget={"wall_hours": hours})
    a_finished_run(a_trial(sweep), 1.0)
    Sweep.objects.filter(pk=sweep.pk).update(created_at=Now() - timedelta(hours=1))
    sweep.refresh_from_db()
    assert (refused(sweep) is None) == fits


@pytest.mark.parametrize(("hours", "fits"), [(1.1, True), (0.9, False)])
def test_a_run_that_would_end_after_the_deadline_is_refused(hours, fits):
    deadline = datetime.now(UTC) + timedelta(hours=hours)
    sweep = a_sweep(budget={"deadline": deadline})
    a_finished_run(a_trial(sweep), 1.0)
    assert (refused(sweep) is None) == fits
    assert refused(sweep, reserve=2) is not None  # two at once, one after it
    assert fits or f"{deadline:%Y-%m-%d %H:%M} UTC" in str(refused(sweep))


def test_energy_is_refused_by_what_was_measured():
    sweep = a_sweep(budget={"energy_kwh": 0.9})
    a_finished_run(a_trial(sweep), 1.0)
    assert refused(sweep) is None  # no device told anything
    power(a_finished_run(a_trial(sweep), 1.0), 0, [500.0])
    assert "kWh" in str(refused(sweep))


def test_what_nothing_is_known_of_may_begin_until_the_budget_is_used_up():
    sweep = a_sweep(budget={"gpu_hours": 1.0, "deadline": datetime.now(UTC) + timedelta(hours=1)})
    assert refused(sweep) is None
    a_run(a_trial(sweep), 0.9)
    assert refused(sweep) is None
    a_run(a_trial(sweep), 0.2)
    assert refused(sweep) == "The budget of 1 GPU-hours is spent."
    late = a_sweep(budget={"deadline": datetime.now(UTC) - timedelta(hours=1)})
    assert "has passed" in str(refused(late))
