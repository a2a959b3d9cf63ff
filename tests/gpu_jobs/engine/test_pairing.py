"""Two models of one architecture: alike where they are the same, apart where they are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import gpu_jobs
from gpu_jobs import cost, spec
from gpu_jobs.engine import pairing
from gpu_jobs.events import Failed, Metrics
from tests.gpu_jobs.training import TINY, Bench, Outcome
from webapp.sweeps.measures import landscape

ASKED: dict[str, Any] = {
    "kind": "evaluate", "model": {"source": "run", "run": 1}, "against": {"source": "run", "run": 2},
    "data": TINY["data"], "sequence_length": 16, "batch_size": 4, "eval_batches": 2, "path_points": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def other(bench: Bench) -> Outcome:
    """The base's recipe from another seed."""
    return bench.run({"seed": 5, "steps": 40, "optimizer": {"name": "adamw", "lr": 1e-2}})


def compared(bench: Bench, one: Outcome, two: Outcome, **changes: Any) -> Outcome:
    context = bench.context(inputs={"run:1": one.work_dir / "model", "run:2": two.work_dir / "model"})
    return Outcome(list(gpu_jobs.run(spec.parse(ASKED | changes), context)), context.work_dir)


def test_a_model_with_itself_is_connected_and_alike(bench: Bench, base: Outcome) -> None:
    found = compared(bench, base, base).last.values
    assert found["pair"]["connectivity"] == 0.0
    assert found["pair"]["similarity"] == pytest.approx(1, abs=1e-9)
    assert found["pair"]["agreement"] == 1.0
    assert set(found["pair"]["losses"]) == {found["quality"]["eval/loss"]}


def test_two_seeds_lie_apart_and_the_line_ends_at_both(bench: Bench, base: Outcome, other: Outcome) -> None:
    found = compared(bench, base, other)
    told, losses = found.last.values["pair"], found.last.values["pair"]["losses"]
    assert losses[0] == found.last.values["quality"]["eval/loss"]
    alone = compared(bench, other, other, path_points=3).last.values["quality"]["eval/loss"]
    assert losses[-1] == pytest.approx(alone, rel=1e-6)
    assert len(losses) == 5
    assert told["connectivity"] == pytest.approx(landscape.connectivity(losses))
    assert 0 < told["similarity"] < 0.99 and told["agreement"] < 1
    (metrics,) = found.of(Metrics)
    assert metrics.values["pair/connectivity"] == told["connectivity"]


def test_the_direction_of_the_line_does_not_matter(bench: Bench, base: Outcome, other: Outcome) -> None:
    there, back = (compared(bench, *pair).last.values["pair"] for pair in ((base, other), (other, base)))
    for name in ("connectivity", "similarity", "agreement"):
        assert there[name] == pytest.approx(back[name], abs=1e-5)
    assert there["losses"] == pytest.approx(back["losses"][::-1], rel=1e-5)


def test_another_architecture_is_refused_by_the_name_of_the_weight(bench: Bench, base: Outcome) -> None:
    wide = bench.run({"model": {**TINY["model"], "width": 32}, "steps": 1})  # type: ignore[dict-item]
    found = compared(bench, base, wide).last
    assert isinstance(found, Failed)
    assert "of model: model.embed_tokens.weight is [258, 32] there and [258, 16] here." in found.message


@pytest.mark.parametrize("features", [3, 40])
def test_cka_is_that_of_the_definition(features: int) -> None:
    """By the (features, features) products of the definition, though computed by (n, n)."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(25, features)), draw.normal(size=(25, 7))
    assert pairing.cka(torch.tensor(x), torch.tensor(y)) == pytest.approx(landscape.similarity(x, y))


def test_cka_does_not_see_a_rotation_a_shift_and_a_scale() -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(30, 6))
    turned, _ = np.linalg.qr(draw.normal(size=(6, 6)))
    assert pairing.cka(torch.tensor(x), torch.tensor(3 * x @ turned + 5)) == pytest.approx(1)


def test_a_barrier_is_negative_and_the_farthest_point_counts() -> None:
    assert pairing.connectivity([1.0, 3.0, 2.0]) == pytest.approx(1.5 - 3.0)
    assert pairing.connectivity([2.0, 1.0, 2.0]) == pytest.approx(1.0)


def test_the_plan_counts_both_models_and_every_point(base: Outcome) -> None:
    alone = cost.plan(spec.parse({**ASKED, "against": None}), {"run:1": base.facts})
    both = cost.plan(spec.parse(ASKED), {"run:1": base.facts})
    assert both.flops["total"] == 8 * alone.flops["total"]  # type: ignore[operator]
    assert both.memory["weights"] == 3 * alone.memory["weights"]  # type: ignore[operator]


def test_a_model_that_is_named_twice_is_fetched_once() -> None:
    assert spec.references(spec.parse({**ASKED, "against": ASKED["model"]})) == ["run:1"]
