"""NLoRA: three low-rank factors that begin at a Nystrom approximation of the weight.

    h = W x + (alpha / r) (B N A - B0 N0 A0) x
    A0 = W[:r, :]    B0 = W[:, :r]    N0 = pinv(W[:r, :r])

(Guo et al. 2025). B0 N0 A0 is the Nystrom approximation, which is W itself when W has rank r or less. Subtracting it
makes training begin at the base model. The authors' released code does neither: N0 = W[:r, :r] without the inverse, and
nothing is subtracted, so that it begins at another function than the base's; that is core `raw` with residual `none`
(as their code was read; the pseudo-inverse is the Nystrom method's, unchecked against the paper's equations). Only A,
N, B and N0 are stored: A0 and B0 are parts of W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2502.14482"
LR = 2e-4


class NystromKnobs(AdapterKnobs):
    """What the family is asked."""

    rank: int = Field(16, ge=1, le=4096, description="Size r of the core.", json_schema_extra={"log": True})
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")


class Knobs(NystromKnobs):
    name: Literal["nlora"]
    core: Literal["pinv", "raw"] = Field("pinv", description="N begins as the pseudo-inverse of W[:r, :r], or as it.")
    residual: Literal["subtract", "none"] = Field(
        "subtract", description="subtract: begin at the base model. none: add the approximation to it."
    )


def sizes(knobs: NystromKnobs, anatomy: Anatomy) -> Shapes:
    """A, N and B of every adapted layer, with r = min(rank, in, out)."""
    shapes: Shapes = {}
    for layer in anatomy.layers(knobs.targets):
        rank = min(knobs.rank, layer.inputs, layer.outputs)
        shapes |= {f"{layer.name}.A": (rank, layer.inputs), f"{layer.name}.N": (rank, rank)}
        shapes[f"{layer.name}.B"] = (layer.outputs, rank)
    return shapes


def init(knobs: Any, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """A (r, in), N (r, r), B (out, r), trained, and N0 (r, r)."""
    import torch

    weight = base.weight.detach().float()
    rank = min(knobs.rank, *weight.shape)
    core = weight[:rank, :rank]
    if knobs.core == "pinv":
        core = torch.linalg.pinv(core)
    a, b = weight[:rank].clone(), weight[:, :rank].clone()
    trained = {name: torch.nn.Parameter(value) for name, value in {"A": a, "N": core.clone(), "B": b}.items()}
    return {**trained, "N0": core.clone()}


def scale(knobs: NystromKnobs) -> float:
    """alpha / r"""
    return knobs.alpha / knobs.rank


def forward(knobs: Any, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """W x + s (B N A - B0 N0 A0) x, from right to left."""
    change = x @ values["A"].T @ values["N"].T @ values["B"].T
    if knobs.residual == "subtract":
        start, rank = base.weight.detach(), len(values["N0"])
        change = change - x @ start[:rank].T @ values["N0"].T @ start[:, :rank].T
    return base(x) + scale(knobs) * change  # type: ignore[no-any-return]


def lora(knobs: Any, base: Any, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(A, s B N), and below it what is subtracted: rank 2 r."""
    import torch

    a, b = values["A"], scale(knobs) * values["B"] @ values["N"]
    if knobs.residual == "none":
        return a, b
    start, rank = base.weight, len(values["N0"])
    return torch.cat([a, start[:rank]]), torch.cat([b, -scale(knobs) * start[:, :rank] @ values["N0"]], dim=1)


def merge(knobs: Any, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W + s (B N A - B0 N0 A0)"""
    a, b = lora(knobs, base, values)
    return base.weight + b @ a  # type: ignore[no-any-return]
