"""What a budget is worth: the rungs, their rates, seeds and hold-out, their cost, and what can't run."""

from __future__ import annotations

from typing import Any

import pytest

from gpu_jobs import cost, ladder
from gpu_jobs import spec as specs
from gpu_jobs.methods.laws import step_law
from tests.runs import scene
from webapp.accounts.errors import Invalid
from webapp.runs import actions
from webapp.runs.models import Run
from webapp.scaling import definition as definitions
from webapp.scaling.definition import Definition, StepLaw
from webapp.scaling.proposals import Proposal, further, proposal

pytestmark = pytest.mark.django_db

BASE: dict[str, Any] = {"data": {"source": "builtin", "name": "language-reference"}, "sequence_length": 32}


def checked(**changes: Any) -> Definition:
    base = {**BASE, **changes.pop("base", {})}
    return definitions.checked({"target_flops": 1e12, "base": base, **changes})


def proposed(**changes: Any) -> Proposal:
    return proposal(checked(**changes), scene.person(), scene.project())


def refused(**changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        proposed(**changes)
    return [(".".join(map(str, error["loc"])), error["msg"]) for error in caught.value.errors]


def test_a_grid_is_that_of_the_ladder_module_with_every_spec_one_that_can_be_queued() -> None:
    found = proposed(target_flops=1e14, design={"name": "grid", "sizes": 3, "ratios": [10, 40], "reach": 10})
    asked = ladder.grid(1e14, reach=10, sizes=3, ratios=[10, 40], sequence_length=32)
    assert {(each.plan["N"], each.plan["layers"], each.plan["width"]) for each in found.rungs} == {
        (each.parameters, each.shape.layers, each.shape.width) for each in asked
    }
    for each in found.rungs:
        spec = specs.parse(each.spec)
        assert each.plan["D"] == each.plan["steps"] * each.plan["batch_size"] * 32
        assert each.plan["C"] == 6 * each.plan["N"] * each.plan["D"]
        assert each.flops == cost.plan(spec).flops["total"] and each.memory_bytes == cost.plan(spec).memory["total"]
        assert each.spec["optimizer"]["lr"] == each.plan["lr"] and each.spec["steps"] == each.plan["steps"]
    costs = [each.plan["C"] for each in found.rungs]
    assert costs == sorted(costs) and found.compute == pytest.approx(sum(costs))


def test_slices_are_of_equal_compute() -> None:
    found = proposed(target_flops=1e15, design={"name": "isoflop", "budgets": 2, "sizes": 3, "reach": 10})
    assert len(found.rungs) == 6
    for rungs, budget in ((found.rungs[:3], 1e14 / 4), (found.rungs[3:], 1e14)):
        assert [each.plan["C"] for each in rungs] == pytest.approx([budget] * 3, rel=0.02)


def test_tiny_models_get_the_capped_rate_and_models_within_the_laws_range_its_own() -> None:
    tiny = proposed().rungs[0].plan
    assert step_law.learning_rate(tiny["N"], tiny["D"]) > 0.03
    assert tiny["lr"] == definitions.TINY_CAP
    large = proposed(target_flops=1e22, design={"name": "grid", "sizes": 1, "ratios": [20, 30]}, law={"name": "power"})
    for each in large.rungs:
        assert each.plan["N"] > definitions.STEP_LAW_FROM
        assert each.plan["lr"] == pytest.approx(step_law.learning_rate(each.plan["N"], each.plan["D"]), rel=1e-2)


def test_a_cap_holds_only_below_the_laws_range_and_a_factor_everywhere() -> None:
    rates = StepLaw(factor=2, cap=0.001)
    assert rates.rate(1_000_000, 0.02) == 0.001 and rates.rate(1_000_000, 0.0004) == 0.0008
    assert rates.rate(60_000_000, 0.02) == 0.04
    assert StepLaw(cap=None).rate(1000, 0.2) == 0.2


def test_fixed_rates_are_the_same_for_all_and_tokens_stay_what_they_were() -> None:
    law, same = proposed(), proposed(rates={"name": "fixed", "lr": 0.002, "batch_size": 8})
    assert {(each.plan["lr"], each.plan["batch_size"]) for each in same.rungs} == {(0.002, 8)}
    for one, other in zip(law.rungs, same.rungs, strict=True):
        assert one.plan["D"] == pytest.approx(other.plan["D"], rel=0.05)


def test_a_batch_can_be_parted_and_warm_up_is_a_share_of_the_steps() -> None:
    found = proposed(base={"accumulation": 4}, warmup=0.1)
    for each in found.rungs:
        assert each.plan["batch_size"] % 4 == 0
        assert each.spec["schedule"]["warmup_steps"] == round(0.1 * each.plan["steps"])
    kept = proposed(base={"schedule": {"name": "cosine", "warmup_steps": 3}}, warmup=None)
    assert {each.spec["schedule"]["warmup_steps"] for each in kept.rungs} == {3}


def test_every_seed_is_a_run_and_all_runs_of_the_dearest_settings_are_held_out() -> None:
    found = proposed(seeds=2, holdout=3, base={"seed": 5})
    assert [each.plan["seed"] for each in found.rungs[:4]] == [5, 6, 5, 6]
    assert [each.is_held_out for each in found.rungs] == [False] * (len(found.rungs) - 6) + [True] * 6
    assert len({(each.plan["N"], each.plan["D"], each.plan["seed"]) for each in found.rungs}) == len(found.rungs)


def test_rungs_that_are_the_same_are_left_out_and_that_is_said() -> None:
    found = proposed(target_flops=1e10, design={"name": "isoflop", "budgets": 1, "sizes": 9, "ratio": 2, "reach": 30})
    points = [(each.plan["N"], each.plan["D"]) for each in found.rungs]
    assert len(points) == len(set(points)) < 9
    assert any(f"{9 - len(points)} of 9 rungs are like another" in said for said in found.warnings)


def test_a_base_of_another_kind_or_model_is_refused_where_it_stands() -> None:
    assert refused(base={"kind": "finetune"}) == [("base.kind", "Rungs are pretrained: kind can't be 'finetune'.")]
    ((loc, said),) = refused(base={"model": {"source": "builtin", "name": "nano"}})
    assert loc == "base.model" and "leave model out" in said
    ((loc, said),) = refused(base={"optimizer": {"name": "adamw", "weight_decay": -1}})
    assert loc == "base.optimizer.weight_decay"


def test_a_budget_below_the_smallest_model_is_refused_at_the_budget() -> None:
    ((loc, said),) = refused(target_flops=1e8)
    assert loc == "target_flops" and "1,000 parameters" in said
    assert refused(target_flops=1e29)[0][0] == refused(target_flops=1e31)[0][0] == "target_flops"


def test_a_hold_out_of_everything_and_too_many_runs_are_refused() -> None:
    assert refused(design={"name": "grid", "sizes": 1, "ratios": [20]})[0][0] == "holdout"
    ((loc, said),) = refused(target_flops=1e20, design={"name": "grid", "sizes": 12, "ratios": [10, 20]}, seeds=20)
    assert loc == "design" and "480 runs" in said


def test_laws_that_read_what_no_rung_has_and_wrong_fields_are_refused_at_the_field() -> None:
    assert refused(law={"name": "densing"}) == [("law", "a rung has N and D: law 'densing' also reads t.")]
    assert refused(law={"name": "step_law"})[0][0] == "law"
    assert refused(law={"name": "isoflop"})[0][0] == "holdout"
    assert refused(design={"name": "grid", "sizes": 0})[0][0] == "design.sizes"
    assert refused(rates={"name": "step_law", "factor": 0})[0][0] == "rates.factor"
    assert proposed(law={"name": "isoflop"}, holdout=0).rungs


def test_data_read_many_times_are_warned_of_by_what_a_run_counted() -> None:
    run = scene.submit(changes={"data": {"source": "builtin", "name": "language-reference"}})
    Run.objects.filter(pk=run.pk).update(facts={"data": {"tokens": 1000}})
    found = proposed()
    assert found.rungs[0].repeats == found.rungs[0].plan["D"] / 1000
    most = max(each.plan["D"] for each in found.rungs) / 1000
    assert any(f"up to {most:.1f} times" in said for said in found.warnings)


def test_an_upload_tells_its_tokens_by_its_bytes_to_those_who_may_read_it() -> None:
    upload = actions.add_upload(project=scene.project(), user=scene.person(), name="a.txt", chunks=[b"x" * 10_000])
    base = {"data": {"source": "upload", "upload": upload.pk}}
    found = proposed(base=base)
    assert found.rungs[0].repeats == pytest.approx(found.rungs[0].plan["D"] / 9000)
    with pytest.raises(Invalid) as caught:
        proposal(checked(base=base), scene.person("stranger"), scene.project())
    assert caught.value.errors[0]["loc"] == ["base", "data", "upload"]


def test_evaluations_that_differ_and_too_few_points_are_warned_of() -> None:
    assert not proposed().warnings
    assert any("eval_batches" in said for said in proposed(base={"eval_batches": 20}).warnings)
    few = proposed(design={"name": "grid", "sizes": 2, "ratios": [5, 20]})
    assert any("Law 'chinchilla' needs 7 fitted runs, and this has 3" in said for said in few.warnings)


def test_a_further_run_of_a_setting_that_is_there_gets_the_next_seed() -> None:
    asked, found = checked(), proposed()
    plan = found.rungs[2].plan
    (again,) = further(
        asked, [(plan["N"], plan["D"])], scene.person(), scene.project(), [each.plan for each in found.rungs]
    )
    assert (again.plan["N"], again.plan["D"]) == (plan["N"], plan["D"])
    assert again.plan["seed"] == plan["seed"] + 1
    with pytest.raises(Invalid) as caught:
        further(asked, [(10, 1000)], scene.person(), scene.project())
    assert caught.value.errors[0]["loc"] == ["at"]
