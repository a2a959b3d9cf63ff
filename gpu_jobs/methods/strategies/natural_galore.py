"""Natural GaLore: GaLore whose projected gradient is turned by the inverse of the empirical Fisher matrix.

    F = lambda I + H^T H                      H (s, n): the last s projected gradients, flat, this step's g among them
    g <- lambda F^-1 g = g - H^T (lambda I + H H^T)^-1 H g                                        Woodbury's identity
    lambda = damping s (mean of |g_j|^2)

(Das 2024, "Natural GaLore"; F and its window as a page on the paper writes them). Ours: lambda goes by the gradients,
and stands in front, so that a direction that they have in common shrinks and others stay as long as they are; the
window is cleared when the subspace changes. Everything else is as in GaLore; a history of 0 is GaLore itself. The
history takes s times the bytes of R.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import Anatomy
from gpu_jobs.methods.strategies import galore
from gpu_jobs.methods.strategies.galore import optimized, setup, sizes
from gpu_jobs.shapes import Shapes, size

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["optimized", "setup", "sizes"]
PAPER = "https://arxiv.org/abs/2410.16029"
PARALLEL = galore.PARALLEL
LR = galore.LR


class Knobs(galore.Knobs):
    name: Literal["natural_galore"]  # type: ignore[assignment]
    history: int = Field(8, ge=0, le=256, description="Gradients s that the Fisher matrix is made of.")
    damping: float = Field(
        1.0, gt=0, le=1e4, description="lambda by their mean square.", json_schema_extra={"log": True}
    )


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """GaLore's, and the histories."""
    shapes = galore.projected(knobs, anatomy).values()
    kept = sum(knobs.history * size(galore.small(shape, knobs.rank)) for shape in shapes)
    return {"optimizer": galore.memory(knobs, parts, anatomy, trained)["optimizer"] + 4 * kept}


class Hooks(galore.Hooks):
    """Keeps a history of each projected gradient, as a ring."""

    def history(self, name: str) -> Tensor:
        """(s, n), at first zero, which counts for nothing."""
        kept: dict[str, Tensor] = self.__dict__.setdefault("kept", {})
        if name not in kept:
            small = self.projections[name].small
            kept[name] = small.data.new_zeros(self.knobs.history, small.numel())
        return kept[name]

    def descend(self, name: str, projection: Any, *, is_due: bool) -> None:
        if is_due and self.knobs.history:
            self.history(name).zero_()  # those of another subspace
        super().descend(name, projection, is_due=is_due)

    def direct(self, name: str, gradient: Tensor) -> Tensor:
        if not self.knobs.history:
            return gradient
        rows = self.history(name)
        rows.copy_(rows.roll(1, 0))
        rows[0] = gradient.flatten()
        return natural(rows, self.knobs.damping).view_as(gradient)

    def tensors(self) -> dict[str, Tensor]:
        own = {f"{name}|H": self.history(name) for name in self.projections} if self.knobs.history else {}
        return super().tensors() | own


def natural(rows: Tensor, damping: float) -> Tensor:
    """F^-1 of the first row, flat."""
    import torch

    filled = rows.square().sum(1)
    known = (filled > 0).sum().clamp(min=1)
    strength = damping * filled.sum() / known * len(rows) + torch.finfo(rows.dtype).tiny  # lambda s
    inner = rows @ rows.T + strength * torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    turned: Tensor = rows[0] - rows.T @ torch.linalg.solve(inner, rows @ rows[0])
    return turned
