"""IntTune: of the three factors of NLoRA, only the small one in the middle is trained.

    h = W x + (alpha / r) B0 (N - N0) A0 x        A0 = W[:r, :]    B0 = W[:, :r]    N0 = pinv(W[:r, :r])

(Guo et al. 2025, NLoRA). r^2 numbers a layer. A0 and B0 are parts of W itself, so that N and N0 are all that is stored.
Begins at the base model. See `nlora` for the beginning that the authors' released code has, the core `raw`; it is a
matter of N alone here, since what N begins at is subtracted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import Anatomy
from gpu_jobs.methods.adapters import nlora
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2502.14482"
LR = 1e-3


class Knobs(nlora.NystromKnobs):
    name: Literal["inttune"]
    rank: int = Field(128, ge=1, le=4096, description="Size r of the core.", json_schema_extra={"log": True})
    alpha: float = Field(128.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    core: Literal["pinv", "raw"] = Field("pinv", description="N begins as the pseudo-inverse of W[:r, :r], or as it.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """N of every adapted layer, with r = min(rank, in, out)."""
    return {name: shape for name, shape in nlora.sizes(knobs, anatomy).items() if name.endswith(".N")}


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """N (r, r), trained, and N0."""
    values = nlora.init(knobs, base, generator, shared)
    return {"N": values["N"], "N0": values["N0"]}


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """W x + s B0 (N - N0) A0 x"""
    weight, rank = base.weight.detach(), len(values["N"])
    change = x @ weight[:rank].T @ (values["N"] - values["N0"]).T @ weight[:, :rank].T
    return base(x) + nlora.scale(knobs) * change  # type: ignore[no-any-return]


def lora(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(A0, s B0 (N - N0))"""
    weight, rank = base.weight, len(values["N"])
    return weight[:rank], nlora.scale(knobs) * weight[:, :rank] @ (values["N"] - values["N0"])


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W + s B0 (N - N0) A0"""
    a, b = lora(knobs, base, values)
    return base.weight + b @ a  # type: ignore[no-any-return]
