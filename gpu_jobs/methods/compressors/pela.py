"""PELA: factors from an SVD, taught by the whole model to compute what it computed.

    W ~ U V as in lowrank_svd, r = in out / (ratio (in + out));  only the factors are trained, on
    L = L_task + a MSE(features) + b MSE(logits) + l mean over layers of (max |U V - W| - eps)^2

with the features of every block, averaged over blocks, and the model as it came as the teacher, frozen. The last term
holds every single weight near where it was. (Guo et al. 2023; terms, ratio 3 and eps 1e-3 as in the authors' code for
DeiT, where eps is a value to be near to and no bound: at full rank the term is eps^2. Unchecked against the paper: the
default weights a = b = l = 1.) `retrain` is the fine-tuning that follows, of all weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts
from gpu_jobs.compressible import Done, RankKnobs, check_ranks
from gpu_jobs.methods.compressors import lowrank_svd

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job
    from gpu_jobs.engine.shrinking import Subject
    from gpu_jobs.spec import Training

__all__ = ["check"]
PAPER = "https://arxiv.org/abs/2310.10700"
RETRAINS = "weights"


class Knobs(RankKnobs):
    name: Literal["pela"]
    ratio: float = Field(
        3.0, gt=1, le=1000, description="How many times fewer weights a layer has: rank = in out / (ratio (in + out))."
    )
    features: float = Field(1.0, ge=0, le=1e6, description="Weight a of the distance of the blocks' outputs.")
    logits: float = Field(1.0, ge=0, le=1e6, description="Weight b of the distance of the logits.")
    perturbation: float = Field(1.0, ge=0, le=1e6, description="Weight l of how far single weights move.")
    epsilon: float = Field(
        1e-3, ge=0, le=1, description="How far they may.", json_schema_extra={"log": True, "advanced": True}
    )


check = check_ranks


def compress(knobs: Knobs, subject: Subject) -> Done:
    """The start: the nearest factors."""
    return lowrank_svd.compress(knobs, subject)  # type: ignore[arg-type]


class Hooks(contracts.Hooks):
    """Trains the factors alone, by the loss above."""

    def __init__(self, knobs: Knobs, model: nn.Module, spec: Training, teacher: Any) -> None:
        from gpu_jobs.engine import compressed
        from gpu_jobs.engine.compressed.factored import Factored

        model.requires_grad_(False)
        self.factored = {name: part for name, part in compressed.layers(model).items() if isinstance(part, Factored)}
        for layer in self.factored.values():
            layer.down.weight.requires_grad_(True)
            layer.up.weight.requires_grad_(True)
        super().__init__(knobs, model, spec)
        self.teacher, self._terms = teacher, dict[str, "Tensor"]()

    def begin(self, job: Job) -> None:
        """The loop's loss becomes this one."""
        super().begin(job)
        self.teacher.requires_grad_(False).eval().to(job.device)
        self._plain = job.loss_sum
        job.loss_sum = self.loss_sum

    def loss_sum(self, model: nn.Module, batch: contracts.Batch) -> Tensor:
        """Summed over the targets, of which each carries the means of the other terms."""
        from gpu_jobs.engine import objective

        self._terms = self.terms(model, batch)
        extra = sum(getattr(self.knobs, name) * value for name, value in self._terms.items())
        counted = (objective.targets(batch) != objective.IGNORED).sum()
        found: Tensor = self._plain(model, batch) + extra * counted
        return found

    def terms(self, model: nn.Module, batch: contracts.Batch) -> dict[str, Tensor]:
        """The three distances from the teacher."""
        import torch
        from torch.nn import functional as F

        from gpu_jobs.engine import objective

        with torch.no_grad():
            wanted = objective.outputs(self.teacher, batch, hidden=True)
        found = objective.outputs(model, batch, hidden=True)
        pairs = list(zip(found.hidden_states[1:], wanted.hidden_states[1:], strict=True))
        features = sum((F.mse_loss(ours.float(), theirs.float()) for ours, theirs in pairs), torch.zeros(()))
        return {
            "features": features / len(pairs),
            "logits": F.mse_loss(found.logits.float(), wanted.logits.float()),
            "perturbation": self.perturbation(),
        }

    def perturbation(self) -> Tensor:
        """Mean over the layers of (max |U V - W| - eps)^2"""
        import torch

        from gpu_jobs.engine.adapters.host import Base

        total = torch.zeros((), device=next(self.teacher.parameters()).device)
        for number, (name, layer) in enumerate(self.factored.items()):
            weight = Base(self.teacher.get_submodule(name), name, number).weight
            total = total + ((layer.product() - weight).abs().max() - self.knobs.epsilon).square()
        return total / len(self.factored)

    def readings(self) -> dict[str, float | Tensor]:
        return {f"pela/{name}": value.detach() for name, value in self._terms.items()}

    def finish(self) -> None:
        """The teacher is not needed any more."""
        self.teacher = None
