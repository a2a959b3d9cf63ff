"""Head only: the output layer, and nothing kept of the model below it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench

DIGITS = {"data": {"source": "builtin", "name": "digits"}}
VIT = {"model": {"architecture": "vit", "image_size": 8, "patch_size": 2, "channels": 1}, **DIGITS}
UNTIED = {"model": {"tie_embeddings": False}}


@pytest.mark.parametrize(
    ("changes", "trained"),
    [
        (UNTIED, {"lm_head.weight"}),
        ({}, {"model.embed_tokens.weight"}),
        (VIT, {"classifier.weight", "classifier.bias"}),
    ],
)
def test_exactly_the_output_layer_moves(bench: Bench, changes: dict[str, Any], trained: set[str]) -> None:
    job = jobs.job(bench, "head_only", **changes)
    before = jobs.weights(job)
    jobs.step(job)
    assert jobs.moved(job, before) == trained


def test_no_tensor_of_the_blocks_is_kept_for_the_backward(bench: Bench) -> None:
    import torch

    job, kept, inside = jobs.job(bench, "head_only", **UNTIED), [], []
    job.bare.model.register_forward_pre_hook(lambda *_: inside.append(len(kept)))
    job.bare.model.register_forward_hook(lambda *_: inside.append(len(kept)))
    with torch.autograd.graph.saved_tensors_hooks(lambda value: kept.append(value) or value, lambda value: value):
        jobs.step(job)
    assert inside == [0, 0]
    assert kept


def test_its_flops_are_a_forward_and_the_gradient_of_the_head(bench: Bench) -> None:
    """The head's gradient costs 2 x 258 x 16 for each token, and nothing else is differentiated."""
    from gpu_jobs import cost

    spec = jobs.asked("head_only", dict(UNTIED))
    config = cost.config_of(spec, {})
    assert config is not None
    shapes = cost.parameters(config, "causal_lm")
    assert shapes is not None
    forward = 4 * cost.forward_flops(shapes, config, 16)
    assert jobs.flops("head_only", **UNTIED) == forward + 2 * 258 * 16 * 4 * 16
