"""Methods, kinds and the plan of a job."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest

from gpu_jobs import cost, registry
from gpu_jobs import spec as specs
from tests.api.world import World, post
from tests.runs import scene
from webapp.runs.models import Run, Worker


def plan_of(world: World, spec: dict[str, Any], name: str = "viewer") -> Any:
    return post(world.client(name), "/plan", spec).json()


def finished(world: World, per_step: float, rate: float) -> None:
    """A run of 10 steps that went at `rate` FLOP/s."""
    run = scene.submit(world.project, user=world.owner)
    facts = {"flops": {"total": 10 * per_step, "per_step": per_step}}
    Run.objects.filter(pk=run.pk).update(
        status="succeeded", facts=facts, result={"wall_time_s": 10 * per_step / rate, "flops": facts["flops"]}
    )


def test_every_method_and_kind_of_the_registry_is_listed_with_its_knobs(world: World) -> None:
    client = world.client("viewer")
    listed = client.get("/api/v1/methods").json()["items"]
    known = {(family, name) for family in registry.families() for name in registry.methods(family)}
    assert {(method["family"], method["name"]) for method in listed} == known
    for method in listed:
        detail = client.get(method["url"]).json()
        assert detail["knobs"]["properties"]["name"]["const"] == method["name"]
    kinds = client.get("/api/v1/kinds").json()["items"]
    assert {kind["name"]: kind["spec"] for kind in kinds} == {kind: specs.schema(kind) for kind in registry.kinds()}


@pytest.mark.parametrize("path", ["/methods/adapters/nothing", "/methods/nothing/lora", "/methods?family=nothing"])
def test_an_unknown_method_is_not_found(path: str, world: World) -> None:
    assert world.client("viewer").get(f"/api/v1{path}").status_code == 404


def test_a_plan_counts_what_the_cost_model_counts(world: World) -> None:
    plan = cost.plan(specs.parse(scene.SPEC))
    told = plan_of(world, scene.SPEC)
    assert told["parameters"] == plan.parameters
    assert told["memory"] == plan.memory
    assert told["flops"] == plan.flops
    assert told["tokens"] == plan.tokens
    assert told["time"] == {"seconds": None, "flops_per_second": None, "measured_runs": 0}


def test_the_time_comes_from_the_runs_of_the_nearest_size(world: World) -> None:
    per_step = cost.plan(specs.parse(scene.SPEC)).flops["per_step"]
    assert isinstance(per_step, int)
    near = [1e9, 2e9, 4e9, 7e9, 9e9]
    for rate in near:
        finished(world, per_step * 1.1, rate)
    for _ in range(3):
        finished(world, per_step * 1000, 1e15)
    told = plan_of(world, scene.SPEC)
    assert told["time"]["flops_per_second"] == pytest.approx(median(near))
    assert told["time"]["seconds"] == pytest.approx(told["flops"]["total"] / median(near))
    assert told["time"]["measured_runs"] == 5


def test_a_plan_builds_on_the_facts_of_a_run_that_the_person_may_read(world: World) -> None:
    base = world.run
    config = cost.config_of(specs.parse(scene.SPEC), {})  # type: ignore[arg-type]
    Run.objects.filter(pk=base.pk).update(facts={"model": {"config": config}})
    spec = scene.finetune_of(base)
    expected = cost.plan(specs.parse(spec), {f"run:{base.pk}": {"model": {"config": config}}})
    told = plan_of(world, spec)
    assert told["parameters"] == expected.parameters
    assert told["parameters"]["trainable"] < told["parameters"]["total"]
    refused = plan_of(world, spec, "stranger")
    assert refused["errors"][0]["msg"] == f"There is no run {base.pk} that you can read."


def test_a_merge_is_planned_by_its_base(world: World) -> None:
    base = world.run
    source = {"source": "run", "run": base.pk}
    spec = {"kind": "merge", "base": source, "experts": [{"model": source}]}
    assert plan_of(world, spec)["parameters"] == {"total": None, "trainable": 0}
    facts = {"task": "causal_lm", "model": {"config": cost.config_of(specs.parse(scene.SPEC), {})}}  # type: ignore[arg-type]
    Run.objects.filter(pk=base.pk).update(facts=facts)
    told = plan_of(world, spec)
    assert told["parameters"]["total"] == cost.plan(specs.parse(scene.SPEC)).parameters["total"]
    assert told["memory"]["total"] == 2 * 4 * told["parameters"]["total"]


@pytest.mark.parametrize("name", sorted(registry.methods("architectures")))
def test_an_architecture_is_planned_by_what_its_file_says(world: World, name: str) -> None:
    """Its layers' activations are not known; everything else is counted."""
    spec = {**scene.SPEC, "model": {"source": "library", "architecture": {"name": name, "width": 32, "heads": 2}}}
    told = plan_of(world, spec)
    expected = cost.plan(specs.parse(spec))
    assert (told["parameters"], told["flops"], told["memory"]) == (expected.parameters, expected.flops, expected.memory)
    assert told["parameters"]["total"] > 0 and told["flops"]["total"] > 0 and told["memory"]["weights"] > 0
    assert told["memory"]["activations"] is None and told["memory"]["total"] is None


def test_a_wrong_knob_of_an_architecture_is_named_where_it_stands(world: World) -> None:
    spec = {**scene.SPEC, "model": {"source": "library", "architecture": {"name": "mor", "recursions": 0}}}
    (error,) = plan_of(world, spec)["errors"]
    assert error["loc"][-3:] == ["model", "architecture", "recursions"]
    assert "greater than or equal to 1" in error["msg"]


SHRINK = {"source": "config", "architecture": "llama", "layers": 2, "width": 36, "heads": 2, "context": 64}
MISFITS = [
    ("prune", {"name": "wanda", "pattern": "4:8"}, "pattern", "pattern 4:8 needs widths divisible by 8"),
    ("prune", {"name": "magnitude", "sparsity": 0.999}, "sparsity", "leaves none of its 36 inputs"),
    ("prune", {"name": "wanda", "targets": ["nowhere"]}, "targets", "is in no layer of this model"),
    ("compress", {"name": "lowrank_svd", "rank": 18}, "rank", "saves nothing: 18 x (36 + 36) = 1,296"),
]


def misfit(kind: str, method: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "model": SHRINK, "data": scene.SPEC["data"], "sequence_length": 16, "method": method}


@pytest.mark.parametrize(("kind", "method", "field", "words"), MISFITS)
def test_what_does_not_fit_the_model_is_named_before_it_is_queued(
    world: World, kind: str, method: dict[str, Any], field: str, words: str
) -> None:
    spec = misfit(kind, method)
    (planned,) = plan_of(world, spec)["errors"]
    answer = post(world.client("editor"), "/runs", {"project": world.project.slug, "spec": spec})
    (refused,) = answer.json()["errors"]
    assert answer.status_code == 422 and not Run.objects.exists()
    assert planned["loc"][-2:] == ["method", field] and refused["loc"][-3:] == ["spec", "method", field]
    assert words in planned["msg"] == refused["msg"]


def test_what_does_not_fit_the_model_of_a_run_is_named_by_its_facts(world: World) -> None:
    base, (kind, method, field, words) = world.run, MISFITS[0]
    config = cost.config_of(specs.parse(misfit(kind, method)), {})  # type: ignore[arg-type]
    Run.objects.filter(pk=base.pk).update(facts={"model": {"config": config}})
    spec = misfit(kind, method) | {"model": {"source": "run", "run": base.pk}}
    answer = post(world.client("editor"), "/runs", {"project": world.project.slug, "spec": spec})
    (refused,) = answer.json()["errors"]
    assert refused["loc"][-2:] == ["method", field] and words in refused["msg"]
    Run.objects.filter(pk=base.pk).update(facts={})  # of a run that has not begun nothing is known
    assert post(world.client("editor"), "/runs", {"project": world.project.slug, "spec": spec}).status_code == 201


def test_a_plan_queues_nothing(world: World) -> None:
    plan_of(world, scene.SPEC)
    assert not Run.objects.exists()


def test_what_fits_is_every_method_on_the_device_that_is_named(world: World) -> None:
    full = plan_of(world, scene.SPEC)["memory"]["total"]
    told = post(world.client("viewer"), f"/plan/methods?device_bytes={full}", scene.SPEC).json()
    assert told["device_bytes"] == full
    by_name = {item["name"]: item for item in told["items"]}
    assert by_name["full"] == {**by_name["full"], "memory_bytes": full, "fits": True, "reason": ""}
    less = post(world.client("viewer"), f"/plan/methods?device_bytes={full - 1}", scene.SPEC).json()
    assert {item["name"]: item["fits"] for item in less["items"]}["full"] is False


def test_without_a_device_it_must_be_said_how_large_it_is(world: World) -> None:
    Worker.objects.all().delete()
    answer = post(world.client("viewer"), "/plan/methods", scene.SPEC)
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["device_bytes"])


def test_a_kind_that_trains_nothing_fits_nowhere(world: World) -> None:
    spec = {"kind": "evaluate", "model": {"source": "builtin"}, "data": {"source": "builtin"}}
    answer = post(world.client("viewer"), "/plan/methods?device_bytes=1000", spec)
    assert answer.json()["errors"][0]["loc"] == ["kind"]
