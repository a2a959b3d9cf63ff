"""SLoRA: LoRA with a small matrix between its two.

    h = W x + (alpha / r) B N A x        A (r, in), N (r, r), B (out, r)

(Guo et al. 2025, the structured LoRA that NLoRA starts from). A and N begin as torch's linear layers do and B at zero
(the authors' code), so that training begins at the base model exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from gpu_jobs.anatomy import Anatomy
from gpu_jobs.methods.adapters import nlora
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2502.14482"
LR = 2e-4


class Knobs(nlora.NystromKnobs):
    name: Literal["slora"]


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A, N and B of every adapted layer."""
    shapes: Shapes = {}
    for layer in anatomy.layers(knobs.targets):
        shapes |= {f"{layer.name}.A": (knobs.rank, layer.inputs), f"{layer.name}.N": (knobs.rank, knobs.rank)}
        shapes[f"{layer.name}.B"] = (layer.outputs, knobs.rank)
    return shapes


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """A and N random, B zero."""
    from gpu_jobs.engine.adapters.lowrank import factors, kaiming

    values = factors(knobs.rank, base, generator)
    return {**values, "N": kaiming(knobs.rank, knobs.rank, generator=generator)}


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """W x + s B N A x"""
    change = x @ values["A"].T @ values["N"].T @ values["B"].T
    return base(x) + nlora.scale(knobs) * change  # type: ignore[no-any-return]


def lora(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(A, s B N)"""
    return values["A"], nlora.scale(knobs) * values["B"] @ values["N"]


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W + s B N A"""
    a, b = lora(knobs, base, values)
    return base.weight + b @ a  # type: ignore[no-any-return]
