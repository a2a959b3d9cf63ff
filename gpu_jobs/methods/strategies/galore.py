"""GaLore: trains every weight, with the optimizer in a low-rank subspace of its gradient.

    every K steps   Q = the r first singular vectors of the gradient G, on its shorter side
    each step       R = W Q  is what the optimizer updates, by the gradient G Q;   W <- W + s (R' - R) Q^T

(Zhao et al. 2024; the projection of the authors' released code; for a wide W, R = Q^T W). The optimizer sees R in place
of W and keeps state of its size alone, whatever optimizer it is; its moments live on when Q changes, as in that code.
What Q doesn't reach decays at the same rate, when the optimizer has a decay, so that all of W does; `scale` multiplies
the whole change of R. Only the layers that `targets` names are projected; the rest of the model is trained as ever.
Gradients are clipped by the length of the whole gradient. The plan doesn't count the FLOPs of the decompositions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, registry
from gpu_jobs.anatomy import Anatomy, Targets, pattern
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shape, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.spec import Training

PAPER = "https://arxiv.org/abs/2403.03507"
PARALLEL = ("ddp",)  # an SVD needs the whole gradient, which no rank has under fsdp
LR = 1e-3


class Knobs(registry.Knobs):
    name: Literal["galore"]
    rank: int = Field(
        128, ge=1, le=65_536, description="Directions r of the subspace.", json_schema_extra={"log": True}
    )
    every: int = Field(
        200, ge=1, le=100_000, description="Steps between choices of the subspace.", json_schema_extra={"log": True}
    )
    scale: float = Field(1.0, gt=0, le=10, description="Factor of the update; 0.25 in the paper's pretraining.")
    targets: Targets = Field("all", description="Which layers are projected: a group, or the names of modules.")


def setup(knobs: Any, model: nn.Module) -> nn.Module:
    """Every parameter takes part."""
    return model.requires_grad_(True)


def sizes(knobs: Any, anatomy: Anatomy) -> Shapes:
    """Every weight."""
    return anatomy.shapes


def small(shape: Shape, rank: int) -> Shape:
    """Shape of R."""
    rank = min(rank, *shape)
    return (shape[0], rank) if shape[0] >= shape[1] else (rank, shape[1])


def basis(shape: Shape, rank: int) -> Shape:
    """Shape of Q."""
    return min(shape), min(rank, *shape)


def projected(knobs: Any, anatomy: Anatomy) -> Shapes:
    """The weights that are projected, as the model stores them."""
    names = [f"{layer.name}.weight" for layer in anatomy.layers(knobs.targets)]
    return {name: anatomy.shapes[name] for name in names}


def optimized(knobs: Any, anatomy: Anatomy, trained: Shapes) -> Shapes:
    """R in the place of each projected W."""
    return trained | {name: small(shape, knobs.rank) for name, shape in projected(knobs, anatomy).items()}


def memory(knobs: Any, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """Beside the optimizer's state, R and Q."""
    shapes = projected(knobs, anatomy).values()
    kept = sum(count({"R": small(shape, knobs.rank), "Q": basis(shape, knobs.rank)}) for shape in shapes)
    return {"optimizer": parts["optimizer"] + 4 * kept}


class Projection:
    """One weight in its subspace."""

    def __init__(self, weight: nn.Parameter, rank: int) -> None:
        import torch

        self.weight, shape = weight, tuple(weight.shape)
        self.is_tall = shape[0] >= shape[1]
        self.small = torch.nn.Parameter(weight.new_zeros(small(shape, rank)))  # R
        self.basis = weight.new_zeros(basis(shape, rank))  # Q

    def down(self, full: Tensor) -> Tensor:
        """(out, in) to the shape of R."""
        return full @ self.basis if self.is_tall else self.basis.T @ full

    def up(self, low: Tensor) -> Tensor:
        """The shape of R to (out, in)."""
        return low @ self.basis.T if self.is_tall else self.basis @ low

    def aim(self, gradient: Tensor) -> None:
        """Chooses the subspace of this gradient, and takes R from the weight."""
        import torch

        left, _, right = torch.linalg.svd(gradient.float(), full_matrices=False)
        rank = self.basis.shape[1]
        self.basis.copy_(right[:rank].T if self.is_tall else left[:, :rank])
        self.settle()

    def settle(self) -> None:
        """R is what the weight has in the subspace."""
        self.small.data.copy_(self.down(self.weight.data))

    def move(self, scale: float, decay: float) -> None:
        """Takes the change of R over into the weight; what lies outside of the subspace shrinks by `decay`."""
        weight = self.weight.data
        before = self.down(weight)
        if decay:
            weight.sub_(decay * (weight - self.up(before)))
        weight.add_(self.up(scale * (self.small.data - before)))
        if scale != 1:
            self.settle()


class Hooks(contracts.Hooks):
    """Gives the optimizer R instead of W."""

    def __init__(self, knobs: Any, model: nn.Module, spec: Training) -> None:
        super().__init__(knobs, model, spec)
        self.projections: dict[str, Projection] = {}

    def is_projected(self, name: str, value: nn.Parameter) -> bool:
        """Whether the optimizer is given R for this weight."""
        import re

        found = pattern(self.knobs.targets, self.model.config.model_type)  # type: ignore[union-attr, arg-type]
        is_matrix = value.ndim == 2 and name.endswith(".weight")
        return is_matrix and re.fullmatch(found, name.removesuffix(".weight")) is not None

    def optimized(self) -> dict[str, nn.Parameter]:
        if not self.projections:
            chosen = {name: value for name, value in self.trained().items() if self.is_projected(name, value)}
            self.projections = {name: Projection(value, self.knobs.rank) for name, value in chosen.items()}
        if not self.projections:
            raise MethodError(f"method.targets {self.knobs.targets!r} is in no layer of this model.")
        return self.trained() | {name: projection.small for name, projection in self.projections.items()}

    def update(self, step: contracts.Step) -> Tensor:
        import torch

        from gpu_jobs.engine.loop import clip

        norm = clip(self.job, [value for value in self.trained().values() if value.grad is not None])
        decay = step.rate * getattr(self.spec.optimizer, "weight_decay", 0.0)
        with torch.no_grad():
            for name, projection in self.projections.items():
                self.descend(name, projection, is_due=step.number % self.knobs.every == 0)
        self.job.optimizer.step()
        self.job.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for projection in self.projections.values():
                projection.move(self.knobs.scale, decay)
        return norm

    def descend(self, name: str, projection: Projection, *, is_due: bool) -> None:
        """Gives R its gradient, in a new subspace when that is due; the full gradient is freed."""
        gradient = projection.weight.grad
        assert gradient is not None
        if is_due:
            projection.aim(gradient)
        projection.small.grad = self.direct(name, projection.down(gradient))
        projection.weight.grad = None

    def direct(self, name: str, gradient: Tensor) -> Tensor:
        """What the optimizer is given for the gradient of R."""
        return gradient

    def readings(self) -> dict[str, Any]:
        """Values that the optimizer keeps state of, as a share of all trained ones."""
        optimized = sum(value.numel() for value in self.optimized().values())
        return {"active/share": optimized / self.trainable_values()}

    def tensors(self) -> dict[str, Tensor]:
        return self._named(lambda projection: {"R": projection.small.data, "Q": projection.basis})

    def restore(self, tensors: dict[str, Tensor]) -> None:
        for name, value in self.tensors().items():
            value.copy_(tensors[name])

    def _named(self, parts: Callable[[Projection], dict[str, Tensor]]) -> dict[str, Tensor]:
        return {
            f"{name}|{part}": value
            for name, projection in self.projections.items()
            for part, value in parts(projection).items()
        }
