"""Models that compressors are tried on, without a run around them."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
import transformers

SMALL: dict[str, dict[str, Any]] = {
    "llama": {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
              "num_attention_heads": 4, "max_position_embeddings": 64, "tie_word_embeddings": True},
    "gpt2": {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
}  # fmt: skip


@dataclass
class Bare:
    """As much of `engine.shrinking.Subject` as a compressor looks at."""

    bare: Any
    task: str = "causal_lm"
    kept: list[dict[str, torch.Tensor]] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def spec(self) -> Any:
        return SimpleNamespace(seed=0, resolved_task=self.task)

    def batches(self) -> list[dict[str, torch.Tensor]]:
        return self.kept


def model(name: str, **changes: Any) -> Any:
    """A small one whose weights a seed decides, none of them left at an initial zero or one."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(name, **(SMALL[name] | changes))
    made: Any = transformers.AutoModelForCausalLM
    built = made.from_config(config).eval().requires_grad_(False)
    for value in built.parameters():
        value.add_(torch.randn(value.shape) * 0.05)
    return built


def subject(name: str = "llama", /, **changes: Any) -> Bare:
    generator = torch.Generator().manual_seed(1)
    batches = [{"input_ids": torch.randint(64, (4, 24), generator=generator)} for _ in range(3)]
    return Bare(model(name, **changes), kept=batches)


def logits(of: Any) -> torch.Tensor:
    ids = torch.arange(40).view(2, 20)
    with torch.no_grad():
        found: torch.Tensor = of(input_ids=ids).logits
    return found
