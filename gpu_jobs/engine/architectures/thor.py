"""THOR, as `methods/architectures/thor.py` describes it."""

# mypy: disable-error-code="no-untyped-call"
# transformers annotates little of what is built on here.

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaDecoderLayer, LlamaMLP, LlamaRMSNorm

from gpu_jobs.engine.architectures.blocks import Attending, Config, Expert, Routed, dispatch
from gpu_jobs.engine.architectures.models import classes
from gpu_jobs.methods.architectures.thor import TASKS, has_experts


class ThorConfig(Config):
    model_type = "thor"

    experts: int = 2
    every: int = 2
    drawn: str = "batch"
    drawn_in_evaluation: str = "token"
    inference_seed: int = 0


class ExpertLayer(GradientCheckpointingLayer):
    """A llama's block with E feed-forward layers, one of which is drawn."""

    def __init__(self, config: ThorConfig, number: int) -> None:
        super().__init__()
        self.config, self.number = config, number
        self.self_attn = LlamaAttention(config, number)
        self.experts = nn.ModuleList(Expert(LlamaMLP(config)) for _ in range(config.experts))
        self.input_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(self, x: Tensor, attending: Attending) -> tuple[Tensor, Tensor]:
        """`counts`: tokens of each expert."""
        x = x + self.self_attn(self.input_layernorm(x), **attending.arguments())[0]
        drawn = F.one_hot(self._draw(x), self.config.experts).flatten(0, 1)  # (batch x tokens, experts)
        inner = self.post_attention_layernorm(x).flatten(0, 1)
        return x + dispatch(self.experts, inner, drawn.to(inner)).view_as(x), drawn.sum(0)

    def _draw(self, x: Tensor) -> Tensor:
        """int64 (batch, tokens). In training from torch's own generator, else from one that begins anew each time."""
        level = self.config.drawn if self.training else self.config.drawn_in_evaluation
        size = {"batch": (1, 1), "sample": (x.shape[0], 1), "token": x.shape[:2]}[level]
        chance = None if self.training else torch.Generator(x.device).manual_seed(self._seed())
        return torch.randint(self.config.experts, size, generator=chance, device=x.device).expand(x.shape[:2])

    def _seed(self) -> int:
        return int(self.config.inference_seed * 1009 + self.number)


class ThorStack(nn.Module):
    """Blocks with experts and plain ones, in turn."""

    def __init__(self, config: ThorConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ExpertLayer(config, number) if has_experts(vars(config), number) else LlamaDecoderLayer(config, number)
            for number in range(config.num_hidden_layers)
        )

    def forward(self, x: Tensor, attending: Attending) -> Routed:
        counts = []
        for layer in self.layers:
            if isinstance(layer, ExpertLayer):
                x, counted = layer(x, attending)
                counts.append(counted)
            else:
                x = layer(x, **attending.arguments())
        return Routed(x, None, torch.stack(counts).sum(0))

    def readings(self, counts: Tensor) -> dict[str, Tensor]:
        """Share of the tokens that each expert worked on."""
        return {f"router/load_{number}": value / counts.sum() for number, value in enumerate(counts)}


CLASSES = classes("Thor", ThorConfig, ThorStack, TASKS)
