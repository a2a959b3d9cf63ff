"""Dynamic sparse training: as many live weights as ever, moved by the rules, and zero everywhere else."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from gpu_jobs.methods.strategies import dynamic_sparse
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench

DST = {"name": "dynamic_sparse", "sparsity": 0.8, "every": 3, "rate": 0.5}
FAST = {"name": "adamw", "lr": 1e-2}


@pytest.mark.parametrize("growth", ["gradient", "random"])
def test_the_budget_holds_at_each_step_and_all_else_is_zero(bench: Bench, growth: str) -> None:
    job = jobs.job(bench, {**DST, "growth": growth}, optimizer=FAST)
    hooks: Any = job.hooks
    changed = []
    for number in range(8):
        jobs.step(job, number)
        changed.append(hooks.changed)
        for name, weight in hooks.weights.items():
            mask = hooks.masks[name]
            assert int(mask.sum()) == hooks.live[name]
            assert not weight[~mask].any()
            assert not any(value[~mask].any() for value in job.optimizer.state[weight].values() if value.ndim)
    assert [number for number, share in enumerate(changed) if share] == [3, 6]
    assert hooks.readings()["sparse/density"] == pytest.approx(0.2, abs=1e-3)


def test_a_move_drops_the_smallest_and_grows_where_the_gradient_is_longest(bench: Bench) -> None:
    """Grown weights and their moments are zero, and no value of a weight that stays changes."""
    job = jobs.job(bench, DST, optimizer=FAST)
    hooks: Any = job.hooks
    for number in range(3):
        jobs.step(job, number)
    before, masks, seen = jobs.weights(job), dict(hooks.masks), {}
    move = hooks.move

    def watched(step: int) -> None:
        seen.update({name: weight.grad.abs() for name, weight in hooks.weights.items()})
        move(step)

    hooks.move = watched
    jobs.step(job, 3)
    share = 0.5 / 2 * (1 + math.cos(math.pi * 3 / 75))
    for name, weight in hooks.weights.items():
        count = int(share * hooks.live[name])
        size = before[name].abs()
        kept = masks[name].flatten().nonzero()[:, 0]
        smallest = kept[size.flatten()[kept].argsort()[:count]]
        stays = masks[name].flatten().clone()
        stays[smallest] = False
        free = (~stays).nonzero()[:, 0]
        longest = free[seen[name].flatten()[free].argsort(descending=True)[:count]]
        expected = stays.clone()
        expected[longest] = True
        assert hooks.masks[name].flatten().equal(expected)
        flat = weight.detach().flatten()
        assert not flat[longest].any()
        assert flat[stays].equal(before[name].flatten()[stays])
        for state in job.optimizer.state[weight].values():
            assert not state.ndim or not state.flatten()[~stays].any()


def test_dense_parts_are_trained_and_nothing_moves_at_the_end(bench: Bench) -> None:
    job = jobs.job(bench, {**DST, "until": 0.05}, optimizer=FAST)
    before = jobs.weights(job)
    for number in range(7):
        jobs.step(job, number)
        assert bool(job.hooks.changed) == (number == 3)  # type: ignore[attr-defined]
    assert jobs.moved(job, before) == before.keys()


def test_the_share_that_moves_falls_to_zero_by_a_cosine() -> None:
    knobs = dynamic_sparse.Knobs(name="dynamic_sparse", rate=0.4, until=0.5)
    assert dynamic_sparse.rate_at(knobs, 0, 100) == 0.4
    assert dynamic_sparse.rate_at(knobs, 25, 100) == pytest.approx(0.2)
    assert dynamic_sparse.rate_at(knobs, 50, 100) == dynamic_sparse.rate_at(knobs, 99, 100) == 0


@pytest.mark.parametrize("sparsity", [0.3, 0.8, 0.95])
def test_densities_of_erdos_renyi_are_one_at_most_and_sum_to_the_budget(sparsity: float) -> None:
    shapes = {
        "model.layers.0.a.weight": (8, 8),
        "model.layers.0.b.weight": (8, 256),
        "model.layers.1.c.weight": (256, 256),
    }
    knobs = dynamic_sparse.Knobs(name="dynamic_sparse", sparsity=sparsity)
    live = dynamic_sparse.budget(knobs, shapes)
    densities = {name: live[name] / math.prod(shape) for name, shape in shapes.items()}
    total = sum(map(math.prod, shapes.values()))
    assert max(densities.values()) <= 1
    assert abs(sum(live.values()) - (1 - sparsity) * total) <= len(shapes)  # each is rounded
    free = {name: shape for name, shape in shapes.items() if densities[name] < 1}
    scales = [densities[name] * math.prod(shape) / sum(shape) for name, shape in free.items()]
    assert max(scales) == pytest.approx(min(scales), rel=0.05)  # density in proportion to (in + out) / (in out)


def test_uniform_densities_are_alike_and_a_start_by_magnitude_keeps_the_largest(bench: Bench) -> None:
    plain = jobs.weights(jobs.job(bench, "full"))
    job = jobs.job(bench, {**DST, "allocation": "uniform"})
    hooks: Any = job.hooks
    assert len(hooks.weights) == 4 * 7
    for name, mask in hooks.masks.items():
        assert int(mask.sum()) == mask.numel() - int(0.8 * mask.numel() + 0.5)
        assert plain[name].abs()[mask].min() >= plain[name].abs()[~mask].max()
        assert hooks.weights[name].detach().equal(plain[name] * mask)


def test_without_sparsity_it_is_full_training(bench: Bench) -> None:
    sparse = jobs.job(bench, {**DST, "sparsity": 0, "rate": 0, "every": 50}, optimizer=FAST)
    full = jobs.job(bench, "full", optimizer=FAST)
    for number in range(3):
        jobs.step(sparse, number)
        jobs.step(full, number)
    for name, value in jobs.weights(full).items():
        assert jobs.weights(sparse)[name].equal(value), name


def test_a_new_model_is_pretrained_and_stored_as_sparse_as_asked(bench: Bench) -> None:
    run = bench.run({"method": {**DST, "start": "random"}, "steps": 8, "optimizer": FAST})
    weights = {name: value for name, value in run.weights().items() if "_proj" in name}
    nonzero = sum(int((value != 0).sum()) for value in weights.values())
    assert nonzero <= 0.2 * sum(value.numel() for value in weights.values()) + len(weights)
    assert run.facts["plan"]["parameters"] == run.facts["parameters"]
    assert {step for step, share in run.series("sparse/changed").items() if share} == {4}
    assert len(set(run.series("sparse/density").values())) == 1


def test_a_pruned_model_is_not_retrained_with_it() -> None:
    from gpu_jobs.shrinking import Retrain

    with pytest.raises(ValidationError, match="prunes by itself"):
        Retrain(method={"name": "dynamic_sparse"})
