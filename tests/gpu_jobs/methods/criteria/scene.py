"""A tiny model with its calibration samples, as a criterion is given them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import gpu_jobs
from gpu_jobs import registry
from gpu_jobs import spec as specs
from gpu_jobs.engine.pruning import layers, walk
from gpu_jobs.engine.pruning.layers import Layer
from tests.gpu_jobs.engine.test_pruning import CPU, batches, tiny
from tests.gpu_jobs.training import TINY, Bench, Outcome


def knobs(name: str, **settings: Any) -> Any:
    return registry.methods("criteria")[name].knobs(name=name, **settings)


def module(name: str) -> Any:
    return registry.methods("criteria")[name].module


def labelled() -> list[dict[str, Tensor]]:
    return [batch | {"labels": batch["input_ids"]} for batch in batches()]


def loss_of(model: Any) -> Callable[[Any], Tensor]:
    """The loss summed over the targets: all tokens but each sample's first."""

    def loss_sum(batch: Any) -> Tensor:
        logits = model(input_ids=batch["input_ids"]).logits[:, :-1]
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="sum"
        )

    return loss_sum


def scored(name: str, kind: str = "llama", **settings: Any) -> tuple[Any, dict[str, Layer], dict[str, Tensor]]:
    """The model, its layers and the scores of a criterion that looks at the whole model."""
    model = tiny(kind)
    found = layers.find(model, "all", 0)
    return model, found, module(name).scores(knobs(name, **settings), model, labelled(), loss_of(model), found)


def with_inputs(needs: str, kind: str = "llama") -> dict[str, Layer]:
    """Layers with the sums of their inputs."""
    model = tiny(kind)
    found = layers.find(model, "all", 0)
    for stop in walk.walk(model, found, batches(), CPU):
        walk.gather(stop, needs, CPU)
    return found


def pruned(bench: Bench, base: Outcome, method: dict[str, Any], changes: dict[str, Any] | None = None) -> Outcome:
    """The pruning of a run's model as a job."""
    asked = {
        "kind": "prune", "model": {"source": "run", "run": 7}, "data": TINY["data"], "sequence_length": 16,
        "batch_size": 4, "eval_batches": 1, "calibration": {"samples": 16, "batch_size": 8}, "method": method,
    }  # fmt: skip
    context = bench.context(inputs={"run:7": base.work_dir / "model"})
    return Outcome(list(gpu_jobs.run(specs.parse(asked | (changes or {})), context)), context.work_dir)
