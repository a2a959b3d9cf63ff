"""HESSO: units that matter least fade to zero in the course of the training, while all weights learn.

    saliency = sum_c 0.2 s_c / ||s_c||_2         c: |x|, |x| / size, cos(x, g) + 1, |x g|, (x g)^2 / 2
    x <- (T - t - 1) / (T - t) x                 of the lowest, after each of T steps t = 0 ... T - 1; then held at 0

(Chen et al. 2024, "HESSO: Towards Automatic Efficient and User Friendly Any Neural Network Training and Pruning".) x
are all weights of a unit, g their gradients at the step of the choice, |x| a length; the lengths of s_c are over all
units. As in the authors' code with one period, except: g is the clipped gradient, not the optimizer's step; every block
loses as many units, where theirs are chosen over the whole model, since the config of a model holds one width for all;
units come from the architectures that are known here, not from a traced graph; and CRIC, which chooses again, is left
out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts
from gpu_jobs.prunable import Pattern, PruningKnobs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.contracts import Step
    from gpu_jobs.engine.job import Job
    from gpu_jobs.engine.pruning.layers import Layer
    from gpu_jobs.engine.pruning.structured import Group, Units

PAPER = "https://arxiv.org/abs/2409.09085"
PATTERNS = ("structured",)
UNITS = ("ffn", "heads", "heads+ffn")


class Knobs(PruningKnobs):
    name: Literal["hesso"]
    pattern: Pattern = Field("structured", description="Whole units go, so that the model really becomes smaller.")
    start: float = Field(0.1, ge=0, le=0.9, description="Share of the steps after which the units are chosen.")
    duration: float = Field(0.4, gt=0, le=1, description="Share of the steps in which they fade.")


def setup(knobs: Knobs, model: Any, layers: Any) -> nn.Module:
    """Every weight is trained. Raises MethodError where no unit would be left."""
    from gpu_jobs.engine.pruning.structured import groups, refuse_none

    for group in groups(model, knobs.unit):
        refuse_none(knobs.sparsity, group.count, "heads" if group.kind == "heads" else "channels")
    return model.requires_grad_(True)  # type: ignore[no-any-return]


def parts(group: Group, layers: dict[str, Layer]) -> list[tuple[Any, int]]:
    """The parameters that the units are made of, each with the dimension along which they lie."""
    found = []
    for name in group.rows:
        module = layers[name].module
        found.append((module.weight, int(layers[name].is_transposed)))
        found += [] if module.bias is None else [(module.bias, 0)]
    return found + [(layers[name].module.weight, int(not layers[name].is_transposed)) for name in group.columns]


def vectors(values: list[tuple[Tensor, int]], count: int) -> Tensor:
    """All numbers of each unit, (count, size)"""
    import torch

    return torch.cat([value.movedim(axis, 0).reshape(count, -1) for value, axis in values], dim=1)


def criteria(x: Tensor, g: Tensor) -> list[Tensor]:
    """The five s_c of units (count, size) and their gradients, (count,) each"""
    length, product = x.norm(dim=1), (x * g).sum(1)
    cosine = product / (length + 1e-8) / (g.norm(dim=1) + 1e-8) + 1
    return [length, length / x.shape[1], cosine, product.abs(), product.square() / 2]


def saliency(scores: list[list[Tensor]]) -> list[Tensor]:
    """The weighted sum of each group's criteria, every criterion divided by its length over all groups."""
    import torch

    lengths = [torch.cat(each).norm() + 1e-8 for each in zip(*scores, strict=True)]
    weighted = [[0.2 * one / length for one, length in zip(group, lengths, strict=True)] for group in scores]
    return [torch.stack(group).sum(0) for group in weighted]


class Hooks(contracts.Hooks):
    """Chooses the units once, and makes them fade."""

    knobs: Knobs
    left = 1.0  # of the weights of the units that fade

    def begin(self, job: Job) -> None:
        import torch

        from gpu_jobs.engine.pruning.layers import find
        from gpu_jobs.engine.pruning.structured import groups

        super().begin(job)
        self.layers, self.groups = find(self.model, "all", self.spec.seed), groups(self.model, self.knobs.unit)
        self.kept = {each.name: torch.ones(each.count, dtype=torch.bool, device=job.device) for each in self.groups}
        self.first = min(int(self.knobs.start * self.spec.steps), self.spec.steps - 1)
        self.steps = max(1, min(round(self.knobs.duration * self.spec.steps), self.spec.steps - self.first))

    def update(self, step: Step) -> Tensor | None:
        """The units are chosen by the gradients of that step."""
        from gpu_jobs.engine.loop import clip

        norm = clip(self.job)
        if step.number == self.first:
            self.choose()
        self.job.optimizer.step()
        self.job.optimizer.zero_grad(set_to_none=True)
        return norm

    def choose(self) -> None:
        """As many units of every group."""
        import torch

        from gpu_jobs.engine.pruning.masks import lowest
        from gpu_jobs.prunable import removed

        scores = []
        with torch.no_grad():
            for group in self.groups:
                own = parts(group, self.layers)
                gradients = [(value.grad, axis) for value, axis in own]
                scores.append(criteria(vectors(own, group.count), vectors(gradients, group.count)))
        for group, score in zip(self.groups, saliency(scores), strict=True):
            self.kept[group.name] = ~lowest(score[None], removed(self.knobs.sparsity, group.count))[0]

    def after_step(self, step: Step) -> None:
        done = step.number - self.first  # t
        if done >= 0:
            self.fade(max(0.0, (self.steps - done - 1) / max(1, self.steps - done)))
            self.left = max(0.0, (self.steps - done - 1) / self.steps)

    def fade(self, factor: float) -> None:
        """Multiplies the units that are not kept."""
        import torch

        with torch.no_grad():
            for group in self.groups:
                factors = torch.where(self.kept[group.name], 1.0, factor)
                for value, axis in parts(group, self.layers):
                    each = factors.repeat_interleave(value.shape[axis] // group.count)
                    value.mul_(each.view([-1 if i == axis else 1 for i in range(value.ndim)]))

    def units(self) -> Units:
        """What stays."""
        from gpu_jobs.engine.pruning.structured import units_of

        return units_of(self.groups, self.kept)

    def readings(self) -> dict[str, float | Tensor]:
        """`left` is what is left of the weights of the units that fade."""
        return {"prune/left": self.left, "prune/sparsity": 0.0 if self.left else self.knobs.sparsity}

    def tensors(self) -> dict[str, Tensor]:
        return {f"kept|{name}": value for name, value in self.kept.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self.kept = {name: tensors[f"kept|{name}"] for name in self.kept}
