"""What our architectures are put together from: attention's surroundings, experts, and the config that all share."""

# mypy: disable-error-code="no-untyped-call"
# transformers annotates little of what is built on here.

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRMSNorm


class Config(LlamaConfig):
    """A llama's fields, and a ViT's for the models that read images, too. Each architecture adds its own."""

    norm: str = "rms"
    image_size: int = 8
    patch_size: int = 2
    num_channels: int = 1
    hidden_dropout_prob: float = 0.0
    layer_norm_eps: float = 1e-6


class Attending(NamedTuple):
    """What attention is told about the tokens of a batch."""

    cos: Tensor  # (batch, tokens, head)
    sin: Tensor
    order: Tensor | None  # int64 (batch, tokens), ascending; None where all tokens see each other
    real: Tensor | None = None  # bool (batch, tokens), False for padding; None where there is none
    documents: Tensor | None = None  # int64 (batch, tokens), a number for each text of a row; None where there is one

    def arguments(self, seen: Tensor | None = None) -> dict[str, Any]:
        """Keyword arguments of a llama's block. `seen`, bool (batch, tokens): the tokens that may be attended to."""
        return {"position_embeddings": (self.cos, self.sin), "attention_mask": self._mask(seen)}

    def at(self, places: Tensor) -> Attending:
        """The same for some tokens only; places: int64 (batch, k), ascending."""
        rows = torch.arange(len(places), device=places.device)[:, None]
        return Attending(*(None if value is None else value[rows, places] for value in self))  # type: ignore[arg-type]

    def _mask(self, seen: Tensor | None) -> Tensor | None:
        """float (batch, 1, tokens, tokens) to be added to the scores. A token always sees itself, so that the row of
        one that is out holds numbers."""
        if self.order is None:
            return None
        allowed = self.order[:, :, None] >= self.order[:, None, :]
        if self.documents is not None:
            allowed = allowed & (self.documents[:, :, None] == self.documents[:, None, :])
        for keys in (self.real, seen):
            if keys is not None:
                allowed = allowed & keys[:, None, :]
        allowed = allowed | torch.eye(allowed.shape[-1], dtype=torch.bool, device=allowed.device)
        return torch.zeros_like(allowed, dtype=self.cos.dtype).masked_fill(~allowed, float("-inf"))[:, None]


class Routed(NamedTuple):
    """What a stack of blocks returns. `counts` are for `readings`: summed over forwards, 1-D."""

    hidden: Tensor  # (batch, tokens, width)
    auxiliary_loss: Tensor | None = None
    counts: Tensor | None = None


class FeedForward(nn.Module):
    """Two matrices with biases and a GELU between them."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(nn.functional.gelu(self.up_proj(x)))
        return out


class Expert(nn.Module):
    """One of several feed-forward layers. It stands under the name that adapters look for."""

    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.mlp(x)
        return out


def last_norm(config: Config) -> nn.Module:
    """The norm before the head."""
    if config.norm == "layer":
        return nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
    norm: nn.Module = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
    return norm


def dispatch(experts: nn.ModuleList, x: Tensor, gates: Tensor) -> Tensor:
    """sum over e of gates_e expert_e(x), each expert reading only the rows whose gate is not 0.

    x: (rows, width); gates: (rows, experts). Every expert is called, if need be without a row, so that ranks that share
    a model out do the same calls, and no weight lacks a gradient.
    """
    out = torch.zeros_like(x)
    for number, expert in enumerate(experts):
        rows = gates[:, number].nonzero().squeeze(1)
        worked = expert(x[rows]) * gates[rows, number, None]
        out = out.index_add(0, rows, worked.to(out.dtype))
    return out
