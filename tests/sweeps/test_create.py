"""A sweep is checked whole before anything of it is written."""

from __future__ import annotations

import pytest

from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.runs.errors import Invalid
from webapp.sweeps import queries
from webapp.sweeps.models import Sweep

pytestmark = pytest.mark.django_db


def errors_of(**changes) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        scene.create(**changes)
    assert not Sweep.objects.exists()
    return {".".join(str(step) for step in error["loc"]): error["msg"] for error in caught.value.errors}


def test_a_new_sweep_runs_and_remembers_what_it_was_asked_with_defaults_filled_in() -> None:
    sweep = scene.create(name="mine", tags=["a"], stopper={"name": "asha", "min_steps": 10}, seeds=3)
    assert (sweep.status, sweep.name, sweep.tags, sweep.revision) == ("running", "mine", ["a"], 1)
    checked = queries.definition(sweep)
    assert checked.seeds.tune == 3
    assert checked.stopper.reduction == 3
    assert queries.counts(sweep)["total"] == 0
    assert [event.by for event in sweep.events.all()] == [runs.person()]


def test_knobs_stay_in_the_order_in_which_they_were_given() -> None:
    space = {"optimizer.weight_decay": {"low": 0.0, "high": 0.1}, "batch_size": {"choices": [8]}, **scene.SPACE}
    sweep = scene.create(search={"sampler": "random", "space": space})
    assert list(Sweep.objects.get(pk=sweep.pk).definition["search"]["space"]) == list(space)


def test_a_sweep_without_a_name_is_called_after_its_job() -> None:
    assert scene.create(name="").name == "pretrain full sweep"


def test_a_bound_that_the_spec_refuses_is_told_at_its_dimension() -> None:
    told = errors_of(search={"sampler": "random", "space": {"optimizer.lr": {"low": -1.0, "high": 0.1}}})
    assert list(told) == ["search.space.optimizer.lr"]
    assert "-1" in told["search.space.optimizer.lr"]


def test_a_path_that_the_spec_does_not_have_is_told_at_its_dimension() -> None:
    told = errors_of(search={"space": {"optimizer.learning_rate": {"low": 1e-4, "high": 1e-2}}})
    assert list(told) == ["search.space.optimizer.learning_rate"]


def test_what_is_wrong_with_the_base_spec_itself_is_told_there() -> None:
    told = errors_of(spec={**runs.SPEC, "steps": 0})
    assert "spec.steps" in told


def test_a_run_that_its_author_can_not_read_is_told_like_one_that_does_not_exist() -> None:
    hidden = runs.submit(runs.project("Hidden", runs.person("eve")))
    told = errors_of(spec=runs.finetune_of(hidden), search={"space": {"optimizer.lr": {"low": 1e-4, "high": 1e-2}}})
    assert told == {"spec.model.run": f"There is no run {hidden.pk} that you can read."}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"trials": 0}, "trials"),
        ({"concurrency": 0}, "concurrency"),
        ({"seeds": 0}, "seeds.tune"),
        ({"seeds": {"tune": 2, "racing": True, "racing_from": 3}}, "seeds.racing_from"),
        ({"objective": []}, "objective"),
        ({"objective": {"metric": "train/loss"}, "seeds": {"test": 3}}, "seeds.test"),
        ({"stopper": {"name": "guess"}}, "stopper.name"),
        ({"stopper": {"name": "asha"}}, "stopper.min_steps"),
        ({"search": {"sampler": "oracle", "space": scene.SPACE}}, "search.sampler.name"),
        ({"search": {"space": {}}}, "search.space"),
        ({"search": {"space": {"optimizer.lr": {"low": 2.0, "high": 1.0}}}}, "search.space.optimizer.lr"),
        ({"budget": {"gpu_hours": -1}}, "budget.gpu_hours"),
        ({"budget": {"deadline": "2026-12-01T10:00:00"}}, "budget.deadline"),
        ({"spec": {"kind": "external"}}, "spec.kind"),
        ({"objective": [{"metric": "a"}, {"metric": "b"}], "stopper": {"name": "asha", "min_steps": 1}}, "stopper"),
    ],
)
def test_each_broken_rule_is_told_at_its_field(changes, place) -> None:
    told = errors_of(**changes)
    assert place in told, told
    assert told[place].endswith(".")


def test_the_conditional_knobs_of_a_choice_are_checked_where_they_count() -> None:
    base = runs.submit()
    space = {
        "method.name": {"choices": ["lora", "full"]},
        "method.rank": {"low": 2, "high": 32, "log": True, "when": {"method.name": ["lora"]}},
    }
    search = {"sampler": "random", "space": space}
    assert scene.create(spec=runs.finetune_of(base), search=search).pk
    Sweep.objects.all().delete()
    del space["method.rank"]["when"]  # `full` has no rank
    assert "search.space.method.rank" in errors_of(spec=runs.finetune_of(base), search=search)
