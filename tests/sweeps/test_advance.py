"""The engine, driven by hand: runs end by the reports of a worker, and each advance does what there is to do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.runs import actions as run_actions
from webapp.runs.models import Run
from webapp.sweeps import actions, winners
from webapp.sweeps.models import Replicate, Sweep, Trial

pytestmark = pytest.mark.django_db


def log_distance(run: Run) -> float:
    """Best at lr = 1e-3."""
    import math

    return 1.0 + abs(math.log10(run.spec["optimizer"]["lr"]) + 3)


def test_it_queues_no_more_than_its_concurrency_and_goes_on_as_runs_end() -> None:
    sweep = scene.advanced(scene.create(trials=5, concurrency=2))
    first, second = scene.waiting(sweep)
    assert {first.share, second.share} == {f"sweep:{sweep.pk}"}
    scene.advanced(sweep)
    assert len(scene.waiting(sweep)) == 2
    scene.train(first, 2.0)
    scene.advanced(sweep)
    assert [trial.status for trial in scene.trials(sweep)] == ["succeeded", "queued", "queued"]
    assert scene.trials(sweep)[0].values == [2.0]


def test_it_ends_when_all_trials_are_over_and_knows_the_best() -> None:
    sweep = scene.finish(scene.create(trials=6, concurrency=3), log_distance)
    assert (sweep.status, sweep.end_reason) == ("succeeded", "All 6 trials are over.")
    values = [trial.values[0] for trial in scene.trials(sweep)]
    best = winners.best(sweep)
    assert best.values == [min(values)]


def test_a_goal_to_maximize_turns_the_ranking_round_and_nothing_else() -> None:
    sweep = scene.create(trials=4, objective={"metric": "eval/loss", "goal": "maximize"})
    scene.finish(sweep, log_distance)
    values = [trial.values[0] for trial in scene.trials(sweep)]
    assert winners.best(sweep).values == [max(values)]


def test_a_point_is_run_with_every_seed_and_judged_by_the_mean() -> None:
    sweep = scene.create(trials=1, seeds=3, concurrency=2)
    seen: list[int] = []

    def by_seed(run: Run) -> float:
        seen.append(run.spec["seed"])
        return [1.0, 2.0, 6.0][run.spec["seed"]]

    scene.finish(sweep, by_seed)
    assert sorted(seen) == [0, 1, 2]
    [trial] = scene.trials(sweep)
    assert trial.values == [3.0]
    [told] = winners.best(sweep).intervals
    assert (told.mean, told.n) == (3.0, 3)


@pytest.mark.parametrize("outcome", ["failed", "out_of_memory", "diverged"])
def test_a_bad_run_is_a_result_and_takes_the_other_seeds_with_it(outcome) -> None:
    sweep = scene.advanced(scene.create(trials=1, seeds=2))
    first, second = scene.waiting(sweep)
    scene.break_down(first, outcome, "Lower optimizer.lr.")
    scene.advanced(sweep)
    [trial] = scene.trials(sweep)
    assert trial.status == outcome
    assert "Lower optimizer.lr." in trial.message and f"run {first.pk}" in trial.message
    second.refresh_from_db()
    assert second.status == "cancelled"


def test_a_run_without_the_metric_fails_its_trial_and_says_so() -> None:
    sweep = scene.advanced(scene.create(trials=1, objective={"metric": "eval/bleu"}))
    scene.train(scene.waiting(sweep)[0], 1.0, "eval/loss")
    scene.advanced(sweep)
    [trial] = scene.trials(sweep)
    assert trial.status == "failed" and "objective" in trial.message


def test_a_value_that_is_not_finite_is_no_value() -> None:
    sweep = scene.advanced(scene.create(trials=1))
    scene.train(scene.waiting(sweep)[0], float("nan"))
    scene.advanced(sweep)
    assert scene.trials(sweep)[0].status == "failed"
    assert winners.best(sweep) is None


def test_five_failures_in_a_row_pause_it_with_a_notice() -> None:
    sweep = scene.create(trials=50, concurrency=5)
    scene.advanced(sweep)
    for run in scene.waiting(sweep):
        scene.break_down(run)
    assert scene.advanced(sweep).status == "paused"
    assert len(scene.trials(sweep)) == 5
    assert "have all failed" in sweep.events.last().message


def test_a_run_that_a_person_cancels_is_a_cancelled_trial_and_the_sweep_goes_on() -> None:
    sweep = scene.advanced(scene.create(trials=3, concurrency=1))
    run_actions.cancel(scene.waiting(sweep)[0])
    scene.advanced(sweep)
    assert [trial.status for trial in scene.trials(sweep)] == ["cancelled", "queued"]


def test_a_deleted_base_fails_its_trials_instead_of_queueing_for_ever() -> None:
    base = runs.submit()
    space = {"optimizer.lr": {"low": 1e-4, "high": 1e-2}}
    sweep = scene.create(spec=runs.finetune_of(base), search={"sampler": "random", "space": space}, trials=30)
    run_actions.delete(base)
    for _ in range(10):
        scene.advanced(sweep)
    assert sweep.status == "paused"
    assert {trial.status for trial in scene.trials(sweep)} == {"failed"}
    assert len(scene.trials(sweep)) == 5
    assert f"There is no run {base.pk}" in scene.trials(sweep)[0].message


def test_asha_stops_the_worse_trials_at_a_rung_and_their_checkpoints_may_be_resumed() -> None:
    sweep = scene.create(trials=3, concurrency=3, stopper={"name": "asha", "min_steps": 10, "reduction": 3})
    scene.advanced(sweep)
    attempts = [scene.begin(run) for run in scene.waiting(sweep)]
    for attempt, value in zip(attempts, [1.0, 2.0, 3.0], strict=True):
        scene.log(attempt, "eval/loss", {10: value})
    scene.advanced(sweep)
    stopped = [trial for trial in scene.trials(sweep) if trial.status == "stopped"]
    assert [trial.number for trial in stopped] == [2, 3]
    assert stopped[0].values == [2.0] and "step 10" in stopped[0].message
    attempts[1].run.refresh_from_db()
    assert attempts[1].run.status == "cancelling"  # it writes a checkpoint first
    run_actions.stopped(run_actions.lock(attempts[1].pk), 12)
    trial = actions.resume_trial(stopped[0], runs.person())
    assert (trial.status, trial.spared) == ("running", True)
    attempts[1].run.refresh_from_db()
    assert attempts[1].run.status == "queued"
    scene.advanced(sweep)
    assert Trial.objects.get(pk=trial.pk).status == "running"


def test_a_stopped_trial_is_never_the_best() -> None:
    sweep = scene.create(trials=2, concurrency=2, stopper={"name": "threshold", "value": 5.0, "step": 10})
    scene.advanced(sweep)
    first, second = (scene.begin(run) for run in scene.waiting(sweep))
    scene.log(first, "eval/loss", {10: 6.0})
    scene.advanced(sweep)
    scene.log(second, "eval/loss", {100: 7.0})
    scene.end(second)
    scene.advanced(sweep)
    assert [trial.status for trial in scene.trials(sweep)] == ["stopped", "succeeded"]
    assert winners.best(sweep).trial == 2


def test_the_winner_is_reported_on_seeds_and_data_that_did_not_choose_it() -> None:
    sweep = scene.create(trials=3, seeds={"tune": 2, "test": 3})
    told: list[tuple[str, int, Any, Any]] = []

    def objective(run: Run) -> float:
        role = Replicate.objects.get(run=run).role
        told.append((role, run.spec["seed"], run.spec["report_test"], run.spec["data"]["test_fraction"]))
        return log_distance(run) + run.spec["seed"] / 1000

    scene.finish(sweep, objective)
    assert sweep.status == "succeeded"
    assert {one[1:] for one in told if one[0] == "tune"} == {(0, False, 0.1), (1, False, 0.1)}
    assert {one[1:] for one in told if one[0] == "test"} == {(seed, True, 0.1) for seed in (10000, 10001, 10002)}
    best = winners.best(sweep)
    assert best.test[0].n == 3
    assert best.test[0].mean == pytest.approx(best.values[0] - 0.0005 + 10.001)
    assert set(Replicate.objects.filter(role="test").values_list("trial__number", flat=True)) == {best.trial}


def test_racing_gives_more_seeds_to_contenders_only() -> None:
    seeds = {"tune": 6, "racing": True, "racing_from": 2}
    grid = {"sampler": {"name": "grid"}, "space": {"batch_size": {"choices": [4, 8, 16]}}}
    sweep = scene.create(trials=3, seeds=seeds, concurrency=6, search=grid)

    def objective(run: Run) -> float:
        noise = [0.0, 0.02, -0.02, 0.01, -0.01, 0.0][run.spec["seed"]]
        return {4: 1.0, 8: 1.01, 16: 9.0}[run.spec["batch_size"]] + noise

    scene.finish(sweep, objective)
    seeds_of = {trial.params["batch_size"]: trial.replicates.count() for trial in scene.trials(sweep)}
    assert seeds_of[16] < 6
    assert max(seeds_of[4], seeds_of[8]) == 6


def test_a_budget_that_ends_a_race_judges_by_the_seeds_there_are() -> None:
    search = {"sampler": {"name": "grid"}, "space": {"batch_size": {"choices": [8, 16]}}}
    seeds = {"tune": 9, "racing": True, "racing_from": 2}
    each = scene.planned_flops({**runs.SPEC, "batch_size": 16})["total"]
    sweep = scene.create(trials=2, seeds=seeds, concurrency=1, search=search, budget={"flops": 6 * each})
    scene.finish(sweep, lambda run: 1.0 + run.spec["seed"] / 100)
    assert sweep.status == "succeeded" and "FLOPs" in sweep.end_reason
    counts = [trial.replicates.count() for trial in scene.trials(sweep)]
    assert all(2 <= count < 9 for count in counts)
    assert [trial.status for trial in scene.trials(sweep)] == ["succeeded"] * 2


def test_a_grid_ends_with_its_last_point_and_says_so() -> None:
    grid = {"sampler": {"name": "grid"}, "space": {"batch_size": {"choices": [4, 8, 16]}}}
    sweep = scene.finish(scene.create(trials=100, search=grid), lambda run: 1.0)
    assert sorted(trial.params["batch_size"] for trial in scene.trials(sweep)) == [4, 8, 16]
    assert sweep.status == "succeeded" and sweep.end_reason


def test_a_budget_that_is_used_up_starts_nothing_new() -> None:
    each = scene.planned_flops(runs.SPEC)["total"]
    search = {"sampler": "random", "space": {"optimizer.lr": {"low": 1e-4, "high": 1e-2}}}
    sweep = scene.create(trials=10, concurrency=1, search=search, budget={"flops": 2.5 * each})
    scene.finish(sweep, lambda run: 1.0)
    assert len(scene.trials(sweep)) == 2
    assert "FLOP" in sweep.end_reason


def test_a_paused_sweep_settles_what_trains_and_queues_nothing() -> None:
    sweep = scene.advanced(scene.create(trials=5, concurrency=1))
    actions.pause(sweep, runs.person())
    scene.train(scene.waiting(sweep)[0], 1.0)
    scene.advanced(sweep)
    assert [trial.status for trial in scene.trials(sweep)] == ["succeeded"]
    actions.resume(sweep, runs.person())
    scene.advanced(sweep)
    assert len(scene.waiting(sweep)) == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_advance_at_once_queue_no_run_twice() -> None:
    sweep = scene.create(trials=8, concurrency=8)
    answers = runs.in_threads([lambda: actions.advance(sweep.pk)] * 4)
    assert answers == [None] * 4
    assert [trial.number for trial in scene.trials(sweep)] == list(range(1, 9))
    assert Run.objects.count() == 8


def test_a_population_goes_on_from_its_checkpoints(tmp_path) -> None:
    sampler = {"name": "pbt", "population": 2, "interval_steps": 10, "quantile": 0.5}
    search = {"sampler": sampler, "space": {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}}
    spec = {**runs.SPEC, "schedule": {"name": "constant"}}
    sweep = scene.create(spec=spec, search=search, trials=4, concurrency=2)
    losses = iter([1.0, 2.0, 0.9, 0.8])
    while scene.advanced(sweep).ended_at is None:
        for run in scene.waiting(sweep):
            attempt = scene.begin(run)
            runs.checkpoint(attempt, run.spec["steps"], tmp_path)
            scene.log(attempt, "eval/loss", {run.spec["steps"]: next(losses)})
            scene.end(attempt)
    first, second, third, fourth = scene.trials(sweep)
    assert [trial.generation for trial in (first, second, third, fourth)] == [0, 0, 1, 1]
    assert {third.parent_id, fourth.parent_id} == {first.pk}  # the worse half goes on from the better one
    assert third.params == first.params
    run = third.replicates.get().run
    assert (run.spec["steps"], run.step, run.cloned_from) == (20, 10, first.replicates.get().run)
    assert run.attempts.get().resumed_from_step == 10


def test_an_ended_or_deleted_sweep_is_left_alone() -> None:
    sweep = scene.create()
    actions.delete(sweep, None)
    scene.advanced(sweep)
    assert not Sweep.objects.filter(deleted_at=None).exists() and not Run.objects.exists()
