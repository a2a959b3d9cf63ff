"""WideNet, as `methods/architectures/widenet.py` describes it."""

# mypy: disable-error-code="no-untyped-call"
# transformers annotates little of what is built on here.

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.models.llama.modeling_llama import LlamaAttention

from gpu_jobs.engine.architectures.blocks import Attending, Config, Expert, FeedForward, Routed, dispatch
from gpu_jobs.engine.architectures.models import classes
from gpu_jobs.methods.architectures.widenet import TASKS


class WidenetConfig(Config):
    model_type = "widenet"

    norm: str = "layer"
    attention_bias: bool = True
    experts: int = 4
    top_k: int = 2
    capacity: float = 1.2
    balance: float = 0.01
    noise: bool = True


def within_capacity(chosen: Tensor, experts: int, places: int) -> Tensor:
    """bool (batch, tokens, k): whether the expert still has a place. By position, then by sample, then by rank."""
    order = chosen.transpose(0, 1)  # (tokens, batch, k)
    taken = F.one_hot(order.flatten(), experts).cumsum(0).gather(1, order.reshape(-1, 1))
    return (taken <= places).view(order.shape).transpose(0, 1)


class Mixture(nn.Module):
    """E feed-forward layers, of which each token uses K."""

    def __init__(self, config: WidenetConfig) -> None:
        super().__init__()
        self.config = config
        self.router = nn.Linear(config.hidden_size, config.experts, bias=False)
        self.experts = nn.ModuleList(Expert(FeedForward(config)) for _ in range(config.experts))

    def forward(self, x: Tensor) -> Routed:
        """`counts`: tokens kept by each expert, assignments dropped, assignments."""
        scores, config = self.router(x).float(), self.config
        noisy = scores + torch.randn_like(scores) / config.experts if self.training and config.noise else scores
        gates, chosen = noisy.softmax(-1).topk(config.top_k, dim=-1)  # (batch, tokens, k)
        kept = self._kept(chosen)
        spread = torch.zeros_like(scores).scatter(-1, chosen, gates * kept)  # (batch, tokens, experts)
        out = dispatch(self.experts, x.flatten(0, 1), spread.flatten(0, 1)).view_as(x)
        sent = F.one_hot(chosen, config.experts)  # (batch, tokens, k, experts)
        balance = config.experts * (sent.sum(2).float().mean((0, 1)) * scores.softmax(-1).mean((0, 1))).sum()
        load = (sent * kept[..., None]).sum((0, 1, 2))
        dropped, assigned = (~kept).sum(), torch.as_tensor(kept.numel(), device=x.device)
        return Routed(out, config.balance * balance, torch.cat([load, dropped[None], assigned[None]]))

    def _kept(self, chosen: Tensor) -> Tensor:
        if not self.training:
            return torch.ones_like(chosen, dtype=torch.bool)
        places = int(self.config.capacity * chosen.numel() / self.config.experts)
        return within_capacity(chosen, self.config.experts, max(1, places))


class Block(GradientCheckpointingLayer):
    """Attention and mixture; the norms come from outside."""

    def __init__(self, config: WidenetConfig) -> None:
        super().__init__()
        self.self_attn = LlamaAttention(config, 0)
        self.moe = Mixture(config)

    def forward(
        self, x: Tensor, before: nn.Module, after: nn.Module, attending: Attending
    ) -> tuple[Tensor, Tensor, Tensor]:
        self.self_attn.is_causal = attending.order is not None
        x = x + self.self_attn(before(x), **attending.arguments())[0]
        out, auxiliary_loss, counts = self.moe(after(x))
        return x + out, auxiliary_loss, counts


class WidenetStack(nn.Module):
    """One block, used at every depth."""

    def __init__(self, config: WidenetConfig) -> None:
        super().__init__()
        self.block = Block(config)
        self.before, self.after = (
            nn.ModuleList(
                nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) for _ in range(config.num_hidden_layers)
            )
            for _ in range(2)
        )

    def forward(self, x: Tensor, attending: Attending) -> Routed:
        losses, counts = [], []
        for before, after in zip(self.before, self.after, strict=True):
            x, auxiliary_loss, counted = self.block(x, before, after, attending)
            losses.append(auxiliary_loss)
            counts.append(counted)
        return Routed(x, torch.stack(losses).sum(), torch.stack(counts).sum(0))

    def readings(self, counts: Tensor) -> dict[str, Tensor]:
        """Share of the assignments that each expert worked on, and how many of how many were dropped."""
        *load, dropped, assigned = counts
        shares = {f"router/load_{number}": value / assigned for number, value in enumerate(load)}
        return shares | {"router/dropped": dropped, "router/assigned": assigned}


CLASSES = classes("Widenet", WidenetConfig, WidenetStack, TASKS)
