"""Low-rank refactoring: trains B A in the place of each weight, and evens the factors out now and then.

    W = B A                          B (out, r), A (r, in): both are trained, W is gone
    every K steps                    B A = U S V^T;  B <- U S^.5,  A <- S^.5 V^T: the same product, factors in balance
    and, with `reset`,               the optimizer's moments of the factors become zero; its count of steps goes on

(Glentis et al. 2025; refactoring as in the authors' released code, resetting from the abstract and summaries, unchecked
against the paper's algorithm). Meant for pretraining. The factors begin as the best approximation of W, so
that a trained base is only kept as far as rank r reaches; that beginning is ours. A layer no wider than r is factored
in full, which makes it larger, not smaller. The result is saved as a plain model with W = B A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, registry
from gpu_jobs.adaptable import choose_layers
from gpu_jobs.anatomy import HEADS, Anatomy, Targets
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.lowrank import LowRank

PAPER = "https://arxiv.org/abs/2505.22922"
PARALLEL = ("ddp",)  # a product is decomposed, of which no rank has the factors whole under fsdp
LR = 1.5e-3


class Knobs(registry.Knobs):
    name: Literal["lowrank_refactor"]
    rank: int = Field(
        128, ge=1, le=65_536, description="Inner width r of the weights.", json_schema_extra={"log": True}
    )
    every: int = Field(
        200, ge=1, le=100_000, description="Steps between refactorings.", json_schema_extra={"log": True}
    )
    reset: bool = Field(True, description="Makes the optimizer's moments zero then, too.")
    targets: Targets = Field("all", description="Which layers are factored: a group, or the names of modules.")


def setup(knobs: Knobs, model: Any) -> nn.Module:
    """Factors in the place of weights; all that is there is trained. Raises MethodError when no layer is meant."""
    from gpu_jobs.engine.lowrank import LowRank

    choose_layers(knobs, model)
    chosen = {name for name, value in model.named_parameters() if value.requires_grad}
    for name, layer in list(model.named_modules()):
        if f"{name}.weight" in chosen and name.split(".")[0] not in HEADS:
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, LowRank(layer, knobs.rank))
    return model.requires_grad_(True)  # type: ignore[no-any-return]


def replaced(knobs: Knobs, anatomy: Anatomy) -> set[str]:
    """The weights that become products."""
    return {f"{layer.name}.weight" for layer in anatomy.layers(knobs.targets)}


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The factors, and every weight that is left."""
    gone = replaced(knobs, anatomy)
    shapes = {name: shape for name, shape in anatomy.shapes.items() if name not in gone}
    for layer in anatomy.layers(knobs.targets):
        rank = min(knobs.rank, layer.inputs, layer.outputs)
        shapes |= {f"{layer.name}.left": (layer.outputs, rank), f"{layer.name}.right": (rank, layer.inputs)}
    return shapes


class Hooks(contracts.Hooks):
    """Refactors."""

    count = 0  # refactorings so far

    def factored(self) -> dict[str, LowRank]:
        """The layers that are products, by name."""
        from gpu_jobs.engine.lowrank import LowRank

        return {name: layer for name, layer in self.model.named_modules() if isinstance(layer, LowRank)}

    def after_step(self, step: contracts.Step) -> None:
        self.count = (step.number + 1) // self.knobs.every
        if (step.number + 1) % self.knobs.every:
            return
        for layer in self.factored().values():
            layer.balance()
            for factor in (layer.left, layer.right):
                self.forget(factor)

    def forget(self, factor: nn.Parameter) -> None:
        """Makes the moments of a factor zero, where that is asked for."""
        for value in self.job.optimizer.state.get(factor, {}).values() if self.knobs.reset else ():
            if getattr(value, "ndim", 0):
                value.zero_()

    def readings(self) -> dict[str, float | Tensor]:
        return {"active/refactorings": float(self.count)}
