"""Tiny models of our architectures: their spec, their config, and the built model."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from gpu_jobs import registry
from gpu_jobs.engine.architectures import AUTO, register
from gpu_jobs.sources import ArchitectureModel

SIZES = {"layers": 2, "width": 32, "heads": 2, "context": 32}
IDS = torch.arange(40).reshape(2, 20) * 5 % 251
LABELS = {"causal_lm": None, "sequence_classification": 3, "image_classification": 10}


def source(name: str, **knobs: Any) -> dict[str, Any]:
    """The model of a spec."""
    return {"source": "library", "architecture": {**SIZES, "name": name, **knobs}}


def config(name: str, task: str = "causal_lm", **knobs: Any) -> dict[str, Any]:
    """The fields of config.json, as a plan has them."""
    return ArchitectureModel.model_validate(source(name, **knobs)).config(vocab_size=258, labels=LABELS[task])


def build(name: str, task: str = "causal_lm", seed: int = 0, **knobs: Any) -> Any:
    """The model, in training mode."""
    import transformers

    register()
    fields = config(name, task, **knobs)
    torch.manual_seed(seed)
    found = transformers.AutoConfig.for_model(fields.pop("model_type"), **fields, pad_token_id=257)
    return getattr(transformers, AUTO[task]).from_config(found).train()


def inputs(task: str, samples: int = 2, length: int = 20) -> dict[str, torch.Tensor]:
    """A batch without labels."""
    if task == "image_classification":
        return {"pixel_values": torch.randn(samples, 1, 8, 8, generator=torch.Generator().manual_seed(0))}
    return {"input_ids": torch.arange(samples * length).reshape(samples, length) * 5 % 251}


def logits(model: nn.Module, **batch: torch.Tensor) -> torch.Tensor:
    """In evaluation mode, without gradients."""
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**batch).logits
    return found


def pairs() -> list[tuple[str, str]]:
    """Every architecture with every task that it can learn."""
    return [(name, task) for name, method in registry.methods("architectures").items() for task in method.module.TASKS]


def disturb(model: nn.Module, std: float = 0.3, seed: int = 1) -> None:
    """Moves every weight, so that nothing is 0 or alike by its beginning."""
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value += std * torch.randn(value.shape, generator=chance) / max(1, value.shape[-1]) ** 0.5


def readings(model: Any) -> dict[str, float]:
    """What it tells of its routers, as numbers."""
    return {name: float(value) for name, value in model.readings().items()}
