"""The best of every choice is reported on test seeds, not only the best of all."""

from __future__ import annotations

import pytest

from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.accounts.errors import Invalid
from webapp.runs.models import Run
from webapp.sweeps import budget, checking, winners
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Replicate, Sweep, Trial

pytestmark = pytest.mark.django_db

SPACE = {"batch_size": {"choices": [4, 8, 16]}, "optimizer.lr": {"choices": [1e-3, 1e-2]}}
EACH = {"tune": 1, "test": 2, "test_each": "batch_size"}


def create(**changes: object) -> Sweep:
    asked = {"search": {"sampler": "grid", "space": SPACE}, "trials": 6, "seeds": EACH, **changes}
    return scene.create(**asked)


def loss(run: Run) -> float:
    """The lower rate is better with a batch of 4, the higher one elsewhere."""
    is_low = run.spec["optimizer"]["lr"] == 1e-3
    return run.spec["batch_size"] + (0.0 if is_low == (run.spec["batch_size"] == 4) else 0.5)


def on_test_seeds(sweep: Sweep) -> set[tuple[int, float, int]]:
    found = Replicate.objects.filter(trial__sweep=sweep, role="test").select_related("run")
    return {(one.run.spec["batch_size"], one.run.spec["optimizer"]["lr"], one.seed) for one in found}


def test_each_choice_sends_its_best_to_the_test_seeds() -> None:
    sweep = scene.finish(create(), loss)
    assert on_test_seeds(sweep) == {
        (b, lr, s) for b, lr in ((4, 1e-3), (8, 1e-2), (16, 1e-2)) for s in (10_000, 10_001)
    }
    assert sweep.status == "succeeded"
    assert sweep.end_reason == "All trials are over and the best of each batch_size is reported."
    assert all(one.run.spec["report_test"] for one in Replicate.objects.filter(trial__sweep=sweep, role="test"))
    best = winners.best(sweep)
    assert best is not None and best.params["batch_size"] == 4 and best.test is not None and best.test[0].n == 2


def test_where_more_is_better_the_highest_of_each_is_reported() -> None:
    sweep = create(objective={"metric": "eval/loss", "goal": "maximize"})
    scene.finish(sweep, loss)
    assert {(b, lr) for b, lr, _ in on_test_seeds(sweep)} == {(4, 1e-2), (8, 1e-3), (16, 1e-3)}


def test_a_choice_of_which_nothing_succeeded_is_not_reported_and_holds_nothing_up() -> None:
    sweep = create(concurrency=6)
    for run in scene.waiting(scene.advanced(sweep)):
        if run.spec["batch_size"] == 8:
            scene.break_down(run, "out_of_memory")
        else:
            scene.train(run, loss(run))
    scene.finish(sweep, loss)
    assert {b for b, _, _ in on_test_seeds(sweep)} == {4, 16}


def test_runs_are_counted_with_the_test_seeds_of_every_choice() -> None:
    checked = Definition.model_validate(scene.definition(search={"space": SPACE}, trials=6, seeds=EACH))
    assert (checked.test_runs, checked.runs) == (6, 12)
    assert budget.forecast_of(checked).runs_left == 12
    sweep = create(concurrency=6)
    assert budget.forecast(sweep).runs_left == 12
    for run in scene.waiting(scene.advanced(sweep)):
        scene.train(run, loss(run))
    assert budget.forecast(scene.advanced(sweep)).runs_left == 6


def test_a_path_that_is_no_list_of_choices_is_refused() -> None:
    space = {**SPACE, "clip_norm": {"low": 0, "high": 1}}
    with pytest.raises(Invalid, match=r"'clip_norm' is none of batch_size, optimizer\.lr"):
        checking.checked(
            scene.definition(search={"sampler": "random", "space": space}, seeds={**EACH, "test_each": "clip_norm"})
        )


def test_an_imported_trial_is_not_run_here() -> None:
    sweep = create()
    Trial.objects.create(
        sweep=sweep, number=1, params={"batch_size": 4, "optimizer.lr": 1e-3}, source=Trial.Source.IMPORTED,
        status="succeeded", values=[0.0], seeds=1,
    )  # fmt: skip
    scene.finish(sweep, loss)
    assert (4, 1e-2) in {(b, lr) for b, lr, _ in on_test_seeds(sweep)}
    assert runs.project().runs.filter(replicate__trial__number=1).count() == 0
