"""SlimFit: freezes the weights that change least, and keeps what is left for the backward in few bits.

    score_i   mean |dW_i / W_i| of the last step that trained W_i; at first random and huge, so that each has its turn
    each step the floor(share n) of n weights with the lowest scores are frozen

(Ardakani et al. 2023, "SlimFit"; algorithm and numbers as in the authors' released code). Matrices and the weights of
norms are scored, and biases always trained. The relative change of a value that is zero counts as zero. For the
backward, activation functions keep their input in 4 bits, matrix products in 8, and norms whose weight is frozen its
largest tenth. Where that code's 8 bits are fixed-point numbers up to 8, ours reach to the largest value of the tensor.
The optimizer keeps its state of frozen weights. The plan's activations are those without all this, an upper bound;
gradients are those of the largest weights that can be trained at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes, count, size

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job
    from gpu_jobs.spec import Training

PAPER = "https://arxiv.org/abs/2305.18513"
IS_PARTIAL = True
PARALLEL = ("ddp",)  # fsdp decides what has gradients when it shares the model out
LR = 9e-5


class Knobs(registry.Knobs):
    name: Literal["slimfit"]
    share: float = Field(0.9, ge=0, le=0.99, description="Share of the weights that a step freezes.")
    compress: bool = Field(True, description="Keeps activations for the backward in few bits.")
    kept: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Share of a frozen norm's input that is kept.",
        json_schema_extra={"advanced": True},
    )


def setup(knobs: Knobs, model: nn.Module) -> nn.Module:
    """Every parameter may take part."""
    return model.requires_grad_(True)


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """Every weight: in turn."""
    return anatomy.shapes


def is_scored(name: str, dimensions: int) -> bool:
    """Matrices and the weights of norms: what has one dimension and is no bias."""
    return dimensions > 1 or name.endswith(".weight")


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """At most the gradients of the largest weights that can be trained at once."""
    scored = sorted((size(shape) for name, shape in trained.items() if is_scored(name, len(shape))), reverse=True)
    active = len(scored) - int(knobs.share * len(scored))
    return {"gradients": 4 * (count(trained) - sum(scored[active:]))}


class Hooks(contracts.Hooks):
    """Freezes, and scores what it trained."""

    def __init__(self, knobs: Any, model: nn.Module, spec: Training) -> None:
        super().__init__(knobs, model, spec)
        self.scored = [value for name, value in self.trained().items() if is_scored(name, value.ndim)]
        self.frozen = int(knobs.share * len(self.scored))
        if spec.gradient_checkpointing and knobs.compress:
            raise MethodError(
                "method 'slimfit' needs gradient_checkpointing off: set it, or method.compress, to false."
            )

    def begin(self, job: Job) -> None:
        import torch

        from gpu_jobs.engine import saved

        super().begin(job)
        generator = torch.Generator().manual_seed(self.spec.seed)
        self.scores = torch.rand(len(self.scored), generator=generator, dtype=torch.float64) * 1e10
        self.active: list[int] = []
        if self.knobs.compress:
            saved.compress(self.model, self.knobs.kept)

    def before_step(self, step: contracts.Step) -> None:
        self.active = self.scores.argsort(stable=True)[self.frozen :].tolist()
        chosen = set(self.active)
        for place, value in enumerate(self.scored):
            value.requires_grad_(place in chosen)

    def update(self, step: contracts.Step) -> Tensor | None:
        import torch

        before = [self.scored[place].detach().clone() for place in self.active]
        norm = super().update(step)
        changes = [_change(old, self.scored[place].detach()) for old, place in zip(before, self.active, strict=True)]
        self.scores[self.active] = torch.stack(changes).double().cpu()
        return norm

    def readings(self) -> dict[str, Any]:
        active = sum(self.scored[place].numel() for place in self.active)
        return {
            "active/weights": float(len(self.active)),
            "active/share": active / sum(value.numel() for value in self.scored),
        }

    def tensors(self) -> dict[str, Tensor]:
        return {"scores": self.scores}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self.scores = tensors["scores"].cpu()


def _change(old: Tensor, new: Tensor) -> Tensor:
    """mean |dW / W|, a scalar"""
    import torch

    return torch.where(old == 0, 0.0, (new - old) / old).abs().mean()
