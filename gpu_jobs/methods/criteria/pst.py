"""PST: importance is learned by small matrices while the weights are trained by others.

    W' = W + beta U V                                  U (out, r1) random, V (r1, in) zero
    S  = |W'| + alpha1 A B + alpha2 (R 1^T + 1 C^T)    A (out, r2) random, B (r2, in), R (out,), C (in,) zero
    y  = (M * W') x,  M keeps the highest of S

(Li et al. 2022, "Parameter-Efficient Sparsity for Large Language Models Fine-Tuning"; defaults and beginnings as in the
authors' code.) S gets the gradient of M (straight through), of which |W'| has its part. Only the six are trained:
(r1 + r2)(in + out) + in + out numbers a matrix. W, biases and all else are frozen. M is taken once before each step,
within each matrix; the sparsity rises by the cubic rule between `warmup` and `cooldown`. At the end W' is folded in and
masked. It begins at magnitude: S = |W| as long as V, B, R and C are zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import learnable
from gpu_jobs.prunable import PruningKnobs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.contracts import Step
    from gpu_jobs.engine.adapters.host import AdaptedLayer

PAPER = "https://arxiv.org/abs/2205.11005"
PATTERNS = ("unstructured",)


class Knobs(PruningKnobs):
    name: Literal["pst"]
    rank: int = Field(8, ge=1, le=64, description="Rank of the update of the weights, U V.")
    score_rank: int = Field(8, ge=1, le=64, description="Rank of the learned importance, A B.")
    beta: float = Field(1.0, gt=0, le=100, description="Scale of U V.", json_schema_extra={"advanced": True})
    alpha1: float = Field(1.0, ge=0, le=100, description="Scale of A B.", json_schema_extra={"advanced": True})
    alpha2: float = Field(1.0, ge=0, le=100, description="Scale of R and C.", json_schema_extra={"advanced": True})
    warmup: float = Field(0.1, ge=0, le=0.9, description="Share of the steps before the first weight goes.")
    cooldown: float = Field(0.3, ge=0, le=0.9, description="Share of the steps after the last has gone.")


def setup(knobs: Knobs, model: nn.Module, layers: Any) -> nn.Module:
    """The six on every layer; nothing else is trained."""
    import sys

    from gpu_jobs.engine.adapters import host

    seed = next(iter(layers.values())).seed
    return host.attach(knobs, sys.modules[__name__], model, list(layers), seed)


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """The six, and M, which keeps all at first."""
    import torch
    from torch.nn import Parameter

    out, inputs, rank, scored = base.outputs, base.inputs, knobs.rank, knobs.score_rank
    return {
        "U": Parameter(torch.randn(out, rank, generator=generator)),
        "V": Parameter(torch.zeros(rank, inputs)),
        "A": Parameter(torch.randn(out, scored, generator=generator)),
        "B": Parameter(torch.zeros(scored, inputs)),
        "R": Parameter(torch.zeros(out)),
        "C": Parameter(torch.zeros(inputs)),
        "mask": torch.ones(out, inputs, dtype=torch.bool),
    }


def weight(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W', (out, in)"""
    return base.weight + knobs.beta * values["U"] @ values["V"]  # type: ignore[no-any-return]


def importance(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """S, (out, in)"""
    learned = knobs.alpha1 * values["A"] @ values["B"] + knobs.alpha2 * (values["R"][:, None] + values["C"])
    return weight(knobs, base, values).abs() + learned


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """M * W', (out, in); the gradient of M is that of S"""
    score = importance(knobs, base, values)
    mask = values["mask"] + (score - score.detach())
    return mask * weight(knobs, base, values)


class Hooks(learnable.MaskHooks):
    """Takes the masks, more sparse from step to step."""

    knobs: Knobs
    sparsity = 0.0

    def mask(self, layer: AdaptedLayer) -> Tensor:
        from gpu_jobs.engine.pruning.masks import by_matrix

        return by_matrix(importance(self.knobs, layer.seen, layer.named_values), self.sparsity)

    def before_step(self, step: Step) -> None:
        from gpu_jobs.engine.pruning.gradual import ramp

        knobs = self.knobs
        self.sparsity = ramp(knobs.sparsity, step.number, self.spec.steps, knobs.warmup, knobs.cooldown)
        self.renew()

    def finish(self) -> None:
        self.sparsity = self.knobs.sparsity
        super().finish()

    def readings(self) -> dict[str, float | Tensor]:
        return {**super().readings(), "prune/sparsity": self.sparsity}
