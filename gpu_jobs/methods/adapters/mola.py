"""MoLA: a mixture of LoRA experts in every layer, with more experts in the upper ones.

    h = W x + (alpha / r) sum_e g_e B_e A_e x        g = the k largest of softmax(R x), scaled to the sum 1

(Gao et al. 2024). The first quarter of the blocks has `lowest` experts a layer, the next ones `lower`, `upper` and
`highest`; the authors' best form has 2, 4, 6 and 8. A and R begin at random and B at zero, so that training begins at
the base model. With one expert it is LoRA. The share of the busiest expert of all layers is told as `load/highest`. The
authors' optional loss that balances the experts is left out, and so is dropout. It can't be merged: g depends on x.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes
from gpu_jobs.shapes import layers as blocks

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2402.08562"
LR = 3e-4
REBUILT = ("load",)


class Knobs(AdapterKnobs):
    name: Literal["mola"]
    rank: int = Field(8, ge=1, le=1024, description="Rank r of an expert.", json_schema_extra={"log": True})
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    active: int = Field(2, ge=1, le=8, description="Experts k that a token is sent to.")
    lowest: int = Field(2, ge=1, le=64, description="Experts in the first quarter of the blocks.")
    lower: int = Field(4, ge=1, le=64, description="Experts in the second.")
    upper: int = Field(6, ge=1, le=64, description="Experts in the third.")
    highest: int = Field(8, ge=1, le=64, description="Experts in the last.")


def experts(knobs: Knobs, block: int | None, count: int) -> int:
    """How many a layer of this block of `count` has."""
    quarters = (knobs.lowest, knobs.lower, knobs.upper, knobs.highest)
    return quarters[min(3, 4 * (block or 0) // count)]


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A, B and R of every adapted layer."""
    found: Shapes = {}
    for layer in anatomy.layers(knobs.targets):
        count = experts(knobs, layer.block, anatomy.blocks)
        found[f"{layer.name}.A"] = (count * knobs.rank, layer.inputs)
        found[f"{layer.name}.B"] = (layer.outputs, count * knobs.rank)
        found[f"{layer.name}.R"] = (count, layer.inputs)
    return found


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """A (experts x r, in), B (out, experts x r), R (experts, in), and the tokens that each expert was sent."""
    import torch

    from gpu_jobs.engine.adapters.lowrank import factors, kaiming

    count = experts(knobs, base.block, blocks(base.config.to_dict()))
    values = factors(count * knobs.rank, base, generator)
    return {**values, "R": kaiming(count, base.inputs, generator=generator), "load": torch.zeros(count)}


def gates(knobs: Knobs, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """(..., experts): at most k are not zero, and their sum is 1."""
    import torch

    weights = torch.softmax(x @ values["R"].T, dim=-1)
    highest = weights.topk(min(knobs.active, weights.shape[-1]), dim=-1)
    chosen = torch.zeros_like(weights).scatter(-1, highest.indices, highest.values)
    return chosen / chosen.sum(-1, keepdim=True)


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """W x + s sum_e g_e B_e A_e x"""
    import torch

    chosen = gates(knobs, x, values)
    if base.is_training:
        with torch.no_grad():
            values["load"] += (chosen > 0).flatten(0, -2).sum(0)
    inner = (x @ values["A"].T).view(*chosen.shape, knobs.rank) * chosen[..., None]
    return base(x) + knobs.alpha / knobs.rank * (inner.flatten(-2) @ values["B"].T)  # type: ignore[no-any-return]


class Hooks(contracts.Hooks):
    """Tells how busy the busiest expert is."""

    def readings(self) -> dict[str, float | Tensor]:
        import torch

        from gpu_jobs.engine.adapters import host

        shares = []
        for layer in host.adapted(self.model).values():
            load = layer.named_values["load"]
            shares.append(load.max() / load.sum().clamp_min(1))
            load.zero_()
        return {"load/highest": torch.stack(shares).max()}
