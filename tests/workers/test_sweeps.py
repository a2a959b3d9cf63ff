"""Sweeps on real workers: they advance by themselves, and a killed worker costs them no trial."""

from __future__ import annotations

from tests.runs import scene as runs
from tests.workers.scene import spec, training_process, wait_for
from webapp.runs.models import Attempt
from webapp.sweeps import actions, registry, studies, winners
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.states import CLOSED

SPACE = {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def create(**changes) -> Sweep:
    definition = {
        "spec": spec(steps=40, eval_every=10),
        "search": {"sampler": "tpe", "space": SPACE},
        "objective": {"metric": "eval/loss"},
        "trials": 4,
        "concurrency": 2,
        **changes,
    }
    return actions.create(project=runs.project(), user=runs.person(), definition=definition, name="real")


def wait_until_over(sweep: Sweep, timeout_s: float = 240) -> Sweep:
    def is_over() -> bool:
        sweep.refresh_from_db()
        return sweep.ended_at is not None

    wait_for(is_over, timeout_s)
    return sweep


def test_a_sweep_runs_to_its_end_on_a_worker_and_stops_the_worse_ones(start_worker) -> None:
    worker = start_worker("sweeps", HONE_SLOTS="2")
    sweep = wait_until_over(create(trials=6, stopper={"name": "asha", "min_steps": 10, "reduction": 2}))
    assert (sweep.status, sweep.end_reason) == ("succeeded", "All 6 trials are over.")
    statuses = list(Trial.objects.filter(sweep=sweep).values_list("status", flat=True))
    assert len(statuses) == 6
    assert set(statuses) <= {"succeeded", "stopped"}
    finished = Trial.objects.filter(sweep=sweep, status="succeeded")
    assert winners.best(sweep).values == [min(trial.values[0] for trial in finished)]
    worker.stop()


def test_a_worker_that_is_killed_in_the_middle_costs_no_trial_and_no_seed(start_worker) -> None:
    victim = start_worker("victim")
    sweep = create(trials=3, seeds={"tune": 2, "test": 2}, spec=spec(steps=120, eval_every=60, checkpoint_every=20))
    wait_for(lambda: Trial.objects.filter(sweep=sweep, status__in=CLOSED).exists(), 240)
    training_process(victim)  # something trains just now
    victim.kill()
    start_worker("heir")
    wait_until_over(sweep)
    assert sweep.status == "succeeded"
    assert [trial.status for trial in Trial.objects.filter(sweep=sweep)] == ["succeeded"] * 3
    told = Replicate.objects.filter(trial__sweep=sweep)
    assert all(item.values is not None for item in told)
    assert sorted(told.values_list("role", "seed")) == sorted(
        [("test", 10000), ("test", 10001), *[("tune", seed) for seed in (0, 1)] * 3]
    )
    assert Attempt.objects.filter(run__replicate__trial__sweep=sweep, status="lost").exists()
    assert winners.best(sweep).test[0].n == 2


def test_methods_are_compared_by_real_training_under_equal_flops(start_worker) -> None:
    worker = start_worker("methods", HONE_SLOTS="2")
    entry = registry.entries("protocols")["method_comparison"]
    knobs = studies.knobs_of(
        entry, {"methods": ["lora", "full"], "held": "flops", "seeds": 2, "factors": [0.3, 1], "tuning_seeds": 1}
    )
    base = {**spec(steps=30, eval_every=0), "kind": "finetune"}
    study = studies.start(entry=entry, project=runs.project(), user=runs.person(), knobs=knobs, spec=base)
    wait_until_over(study.sweeps[0])
    result = studies.analysed(study)
    assert {one.method for one in result.ranking} == {"lora", "full"}
    assert [(one.rank, one.seeds, one.rates) for one in result.ranking] == [(1, 2, 2), (2, 2, 2)]
    assert result.metric == "test/loss" and result.lost == []
    told = {one.method: one for one in result.costs}
    assert told["full"].share == 1 > told["lora"].share
    assert told["full"].steps == 30 < told["lora"].steps
    step = told["lora"].flops / told["lora"].steps
    assert 0 <= told["full"].flops - told["lora"].flops < step
    worker.stop()
