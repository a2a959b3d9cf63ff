"""LoRA-Prune: a plain LoRA on a pruned model, of which merging keeps only what falls on weights that are left.

    training    h = (W + (alpha / r) B A) x
    merging     W + (alpha / r) M * (B A)        M = 1 where W is not zero

(Zimmer et al. 2023, PERP, there the baseline beside MaskLoRA; as in the authors' code). Zeros of W stay zero, but the
merged model is not the one that was trained: merging loses what B A has put on zeros. That share of the update's
length, ||(1 - M) * B A|| / ||B A||, is told every 100 steps and at the end as `dropped/share`; on a model without zeros
it is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.methods.adapters import mask_lora
from gpu_jobs.methods.adapters.lora import lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2312.15230"
LR = 5e-4
EVERY = 100


class Knobs(AdapterKnobs):
    name: Literal["lora_prune"]
    rank: int = Field(16, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(32.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer."""
    return lowrank(knobs.rank, anatomy, knobs.targets)


def init(knobs: Any, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """A (r, in) and B (out, r), which is zero."""
    return mask_lora.init(knobs, base, generator, shared)


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """W x + s B A x, on all of W."""
    return base(x) + knobs.alpha / knobs.rank * (x @ values["A"].T @ values["B"].T)  # type: ignore[no-any-return]


def merge(knobs: Any, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W + s M * (B A)"""
    return mask_lora.merge(knobs, base, values)


def dropped(base: Any, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Sums of squares of B A, on the zeros of W and everywhere."""
    squares = (values["B"] @ values["A"]).square()
    return (squares * (base.weight == 0)).sum(), squares.sum()


class Hooks(contracts.Hooks):
    """Tells what merging will lose."""

    def after_step(self, step: contracts.Step) -> None:
        import torch

        from gpu_jobs.engine.adapters import host

        self.share: dict[str, float | Tensor] = {}
        if (step.number + 1) % EVERY and step.number + 1 != self.spec.steps:
            return
        with torch.no_grad():
            sums = [dropped(layer.seen, layer.named_values) for layer in host.adapted(self.model).values()]
            lost, whole = (torch.stack(part).sum() for part in zip(*sums, strict=True))
            self.share = {"dropped/share": (lost / whole.clamp_min(torch.finfo(whole.dtype).tiny)).sqrt()}

    def readings(self) -> dict[str, float | Tensor]:
        return self.share
