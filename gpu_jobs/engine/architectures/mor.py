"""Mixture-of-Recursions, as `methods/architectures/mor.py` describes it."""

# mypy: disable-error-code="no-untyped-call"
# transformers annotates little of what is built on here.

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from gpu_jobs.engine.architectures.blocks import Attending, Config, Routed
from gpu_jobs.engine.architectures.models import classes
from gpu_jobs.methods.architectures.mor import TASKS, active, capacities


class MorConfig(Config):
    model_type = "mor"

    recursions: int = 3
    sharing: str = "middle_cycle"
    router: str = "expert_choice"
    capacity: float = 1 / 3
    capacity_warmup: int = 0
    alpha: float = 0.1
    auxiliary: str = "router_loss"
    auxiliary_weight: float = 0.001
    balance: float = 0.1
    z_loss: float = 0.0


class MorStack(nn.Module):
    """The shared blocks with their routers, between a first and a last block of their own."""

    seen: Tensor

    def __init__(self, config: MorConfig) -> None:
        super().__init__()
        self.config, own = config, int(config.sharing == "middle_cycle")
        self.first, self.cycle, self.last = (
            nn.ModuleList(LlamaDecoderLayer(config, number) for number in range(count))
            for count in (own, config.num_hidden_layers, own)
        )
        token_choice, expert_choice = (config.router == name for name in ("token_choice", "expert_choice"))
        width, count = config.hidden_size, config.recursions
        self.routers = nn.ModuleList(nn.Linear(width, 1, bias=False) for _ in range(count * expert_choice))
        if token_choice:
            self.routers.append(nn.Linear(width, count, bias=False))
        second = count * (expert_choice and config.auxiliary == "aux_router")
        self.samplers = nn.ModuleList(nn.Linear(width, 1, bias=False) for _ in range(second))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))  # forwards of the training, for the warm-up

    def forward(self, x: Tensor, attending: Attending) -> Routed:
        for block in self.first:
            x = block(x, **attending.arguments())
        x, auxiliary_loss, counts = self._recur(x, attending)
        for block in self.last:
            x = block(x, **attending.arguments())
        return Routed(x, auxiliary_loss, counts)

    def readings(self, counts: Tensor) -> dict[str, Tensor]:
        """Share of the tokens in each recursion, and recursions of the average token."""
        shares = counts[1:] / counts[0]
        return {f"router/load_{number}": share for number, share in enumerate(shares)} | {"router/depth": shares.sum()}

    def _recur(self, x: Tensor, attending: Attending) -> Routed:
        if self.config.router == "token_choice":
            return self._token_choice(x, attending)
        if self.config.router == "expert_choice":
            return self._expert_choice(x, attending) if self.training else self._alone(x, attending)
        for _ in range(self.config.recursions):
            x = self._shared(x, attending)
        return Routed(x)

    def _shared(self, x: Tensor, attending: Attending, seen: Tensor | None = None) -> Tensor:
        """f: all shared blocks once."""
        for block in self.cycle:
            x = block(x, **attending.arguments(seen))
        return x

    def _expert_choice(self, x: Tensor, attending: Attending) -> Routed:
        """The k highest of those still in go through; only they are computed."""
        (batch, length, width), real = x.shape, attending.real
        places = torch.arange(length, device=x.device).expand(batch, length)  # of those still in
        auxiliary_loss, working = x.new_zeros(()), [batch * length]
        for number, share in enumerate(self._capacities()):
            candidates = x.gather(1, places[..., None].expand(-1, -1, width))
            scores = self.routers[number](candidates).squeeze(-1)  # (batch, candidates)
            ranked = scores if real is None else scores.masked_fill(~real.gather(1, places), -math.inf)
            picked = ranked.topk(active(share, length), dim=1).indices.sort(dim=1).values  # (batch, k), in their order
            auxiliary_loss = auxiliary_loss + self._auxiliary(number, candidates, scores, picked)
            gates = self.config.alpha * scores.gather(1, picked).sigmoid()
            places = places.gather(1, picked)
            index = places[..., None].expand(-1, -1, width)
            worked = gates[..., None] * self._shared(x.gather(1, index), attending.at(places))
            x = x.scatter_add(1, index, worked.to(x.dtype))
            working.append(places.numel())
        return Routed(x, auxiliary_loss, torch.tensor(working, device=x.device))

    def _auxiliary(self, number: int, candidates: Tensor, scores: Tensor, picked: Tensor) -> Tensor:
        """Weighted: cross-entropy of telling what was picked, and the square of the scores."""
        wanted = torch.zeros_like(scores).scatter(1, picked, 1.0)
        told = self.samplers[number](candidates.detach()).squeeze(-1) if len(self.samplers) else scores
        loss = F.binary_cross_entropy_with_logits(told.float(), wanted.float())
        return self.config.auxiliary_weight * loss + self.config.z_loss * scores.float().square().mean()

    def _alone(self, x: Tensor, attending: Attending) -> Routed:
        """Evaluation: each token is judged by itself; all are computed, and those that are out stay as they were."""
        inside = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        judges = self.samplers if len(self.samplers) else self.routers
        for number, share in enumerate(capacities(vars(self.config))):
            if share < 1:
                inside = inside & (judges[number](x).squeeze(-1) > 0)
            gates = self.config.alpha * self.routers[number](x).sigmoid()
            x = torch.where(inside[..., None], x + gates * self._shared(x, attending, inside), x)
        return Routed(x)

    def _token_choice(self, x: Tensor, attending: Attending) -> Routed:
        """Each token's depth is decided once, before the first recursion."""
        scores = self.routers[0](x).float()  # (batch, tokens, recursions)
        gates, start, count = scores.softmax(-1), x, self.config.recursions
        depth = gates.argmax(-1, keepdim=True) + 1
        for number in range(count):
            gate = self.config.alpha * gates[..., number, None]
            worked = (gate * self._shared(x, attending, depth[..., 0] > number)).to(x)
            worked = torch.where(depth == number + 1, worked + start, worked)
            x = torch.where(depth > number, worked, x)
        used = F.one_hot(depth[..., 0] - 1, count).float()
        balance = count * (used.mean((0, 1)) * gates.mean((0, 1))).sum()
        auxiliary_loss = self.config.balance * balance + self.config.z_loss * scores.logsumexp(-1).square().mean()
        working = [depth.numel(), *((depth > number).sum() for number in range(count))]
        return Routed(x, auxiliary_loss, torch.stack([torch.as_tensor(value, device=x.device) for value in working]))

    def _capacities(self) -> list[float]:
        """Of this forward of the training."""
        final, passes = capacities(vars(self.config)), self.config.capacity_warmup
        if not passes:
            return final
        self.seen += 1
        left = 0.5 * (1 + math.cos(math.pi * min(1.0, int(self.seen) / passes)))
        return [share + (1 - share) * left for share in final]


CLASSES = classes("Mor", MorConfig, MorStack, TASKS)
