"""ScaleLoRA: retrains a pruned model by scaling its weights with a low-rank matrix.

    h = (W * (B A)) x        all entries of A and B begin at 1 / sqrt(r), so that B A = 1

(Zimmer et al. 2023, PERP; the product and this beginning as in the authors' code). Zeros of W stay zero whatever A and
B are. With that beginning all r components are alike and get the same gradients, so that B A keeps rank 1 however large
r is (a consequence of the equations, tested here). The beginning `split` gives rank r to use: the first component is 1,
the others begin as LoRA's do, random A and zero B, and B A = 1 just as exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.methods.adapters.lora import lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2312.15230"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["scale_lora"]
    rank: int = Field(16, ge=1, le=4096, description="Inner width r of the scales.", json_schema_extra={"log": True})
    start: Literal["paper", "split"] = Field(
        "paper", description="paper: all components alike, which stay alike. split: one is 1, the others can differ."
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer."""
    return lowrank(knobs.rank, anatomy, knobs.targets)


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """A (r, in) and B (out, r), with B A = 1."""
    import torch

    from gpu_jobs.engine.adapters.lowrank import factors

    if knobs.start == "paper":
        value = knobs.rank**-0.5
        a, b = torch.full((knobs.rank, base.inputs), value), torch.full((base.outputs, knobs.rank), value)
        return {"A": torch.nn.Parameter(a), "B": torch.nn.Parameter(b)}
    values = factors(knobs.rank, base, generator)
    with torch.no_grad():
        values["A"][0], values["B"][:, 0] = 1.0, 1.0
    return values


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W * (B A)"""
    return base.weight * (values["B"] @ values["A"])  # type: ignore[no-any-return]
