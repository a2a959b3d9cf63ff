"""Dynamic sparse training: a fixed number of weights, which move to where they are needed.

    W * M                     M of every matrix in a block has the same number of ones throughout
    every dT steps            the share rho_t of them with the smallest |w| goes; as many grow, at zero
      where they grow         gradient: |dL/dW| is largest (RigL); random: anywhere (SET)
    rho_t = rho / 2 (1 + cos(pi t / T_end))      no moves from T_end on

(Mocanu et al. 2018, "Scalable training of artificial neural networks with adaptive sparse connectivity"; Evci et al.
2020, "Rigging the Lottery", whose schedule this is.) As in RigL's algorithm a step that moves weights changes none of
their values, what was dropped may grow again, and the gradient is that of one batch. The densities of layers are alike,
or those of Erdos-Renyi (`prunable.erk`). Live at first are random places, as there, or the largest weights, which is
for models that are trained already: of a pruned one as sparse as this these are its own. Moments of everything that is
not live are zero. Embeddings, norms, biases and heads are dense and trained. It saves no time and no memory: matrices
are stored and multiplied dense, and the optimizer keeps the state of all their entries.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, registry
from gpu_jobs.anatomy import Anatomy, block_of
from gpu_jobs.errors import MethodError
from gpu_jobs.prunable import removed, shares
from gpu_jobs.shapes import Shapes, count, size

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from gpu_jobs.engine.job import Job

PAPER = "https://arxiv.org/abs/1911.11134"
PARALLEL = ("ddp",)  # entries of a weight are compared, which no rank has whole under fsdp
STARTS_AT_BASE = False
IS_PRUNING = True


class Knobs(registry.Knobs):
    name: Literal["dynamic_sparse"]
    sparsity: float = Field(0.9, ge=0, le=0.99, description="Share of the blocks' matrices that is zero.")
    every: int = Field(100, ge=1, le=1_000_000, description="Steps between moves.", json_schema_extra={"log": True})
    rate: float = Field(0.3, ge=0, le=0.5, description="Share of the live weights that the first moves move.")
    until: float = Field(0.75, gt=0, le=1, description="Share of the steps after which none moves any more.")
    growth: Literal["gradient", "random"] = Field("gradient", description="Where weights grow.")
    allocation: Literal["erk", "uniform"] = Field("erk", description="How the sparsity is shared out over layers.")
    start: Literal["random", "magnitude"] = Field(
        "magnitude", description="What is live at first: any weights, or the largest of each layer."
    )


def setup(knobs: Knobs, model: nn.Module) -> nn.Module:
    """Every parameter takes part. Raises MethodError for a model without blocks."""
    if not sparse({name: tuple(value.shape) for name, value in model.named_parameters()}):
        raise MethodError("method 'dynamic_sparse' is for models with transformer blocks, and this one has none.")
    return model.requires_grad_(True)


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """Every weight."""
    return anatomy.shapes


def sparse(shapes: Shapes) -> dict[str, tuple[int, int]]:
    """The matrices that are sparse: those of blocks, but for tables of biases and routers."""
    return {
        name: (shape[0], shape[1])
        for name, shape in shapes.items()
        if len(shape) == 2 and block_of(name) is not None and "bias" not in name and "router" not in name
    }


def budget(knobs: Knobs, shapes: Shapes) -> dict[str, int]:
    """Live weights of each sparse matrix, one at least."""
    found = sparse(shapes)
    gone = shares(knobs.allocation, knobs.sparsity, found)
    return {name: max(1, size(shape) - removed(gone[name], size(shape))) for name, shape in found.items()}


def values(knobs: Knobs, trained: Shapes) -> int:
    """The live weights, and all that is dense."""
    live = budget(knobs, trained)
    return sum(live.values()) + count({name: shape for name, shape in trained.items() if name not in live})


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """A mask of one byte for each weight."""
    return {"weights": parts["weights"] + count(sparse(trained))}


def rate_at(knobs: Knobs, step: int, steps: int) -> float:
    """The share of live weights that moves after so many of the run's steps."""
    end = max(1, round(knobs.until * steps))
    return knobs.rate / 2 * (1 + math.cos(math.pi * min(step, end) / end))


class Hooks(contracts.Hooks):
    """Masks weights, gradients and moments, and moves the masks."""

    changed = 0.0  # the share of live weights that the last step has moved

    def __init__(self, knobs: Any, model: nn.Module, spec: Any) -> None:
        super().__init__(knobs, model, spec)
        shapes = {name: tuple(value.shape) for name, value in self.trained().items()}
        self.live = budget(knobs, shapes)
        self.weights = {name: value for name, value in self.trained().items() if name in self.live}

    def trainable_values(self) -> int:
        return values(self.knobs, {name: tuple(value.shape) for name, value in self.trained().items()})

    def begin(self, job: Job) -> None:
        import torch

        super().begin(job)
        self.masks: dict[str, Tensor] = {}
        with torch.no_grad():
            for name, weight in self.weights.items():
                scores = weight.abs() if self.knobs.start == "magnitude" else self.drawn(name, weight, -1)
                self.masks[name] = _largest(scores, self.live[name])
            self.apply()

    def drawn(self, name: str, weight: Tensor, step: int) -> Tensor:
        """Uniform numbers of this weight and step, the same whenever they are asked for."""
        import torch

        return torch.rand(weight.shape, generator=self.generator(name, step)).to(weight.device)

    def generator(self, name: str, step: int) -> Generator:
        import torch

        return torch.Generator().manual_seed(self.spec.seed * 1_000_003 + zlib.crc32(f"{name} {step}".encode()))

    def update(self, step: contracts.Step) -> Tensor | None:
        """Moves masks instead of changing values when it is time; otherwise updates what is live."""
        import torch

        self.changed = 0.0
        end = self.knobs.until * self.spec.steps
        if 0 < step.number < end and step.number % self.knobs.every == 0:
            with torch.no_grad():
                self.move(step.number)
            self.job.optimizer.zero_grad(set_to_none=True)
            return None
        for name, weight in self.weights.items():
            if weight.grad is not None:
                weight.grad.mul_(self.masks[name])
        norm = super().update(step)
        with torch.no_grad():
            self.apply()
        return norm

    def move(self, step: int) -> None:
        """Drops the smallest live weights of every matrix, and grows as many."""
        moved, share = 0, rate_at(self.knobs, step, self.spec.steps)
        for name, weight in self.weights.items():
            mask, live = self.masks[name], self.live[name]
            stays = _largest(weight.abs().masked_fill(~mask, -1.0), live - int(share * live))
            scores = self.drawn(name, weight, step) if self.knobs.growth == "random" else _length(weight)
            grown = _largest(scores.masked_fill(stays, -1.0), int(share * live))
            self.masks[name] = stays | grown
            weight.masked_fill_(grown, 0.0)
            self.forget(weight, ~stays)
            moved += int((self.masks[name] & ~mask).sum())
        self.apply()
        self.changed = moved / sum(self.live.values())

    def forget(self, weight: nn.Parameter, places: Tensor) -> None:
        """Makes the optimizer's state of these places zero."""
        for value in self.job.optimizer.state.get(weight, {}).values():
            if getattr(value, "shape", None) == weight.shape:
                value.masked_fill_(places, 0)

    def apply(self) -> None:
        """Zeroes what is not live."""
        for name, weight in self.weights.items():
            weight.mul_(self.masks[name])

    def readings(self) -> dict[str, float | Tensor]:
        total = sum(weight.numel() for weight in self.weights.values())
        return {"sparse/density": sum(self.live.values()) / total, "sparse/changed": self.changed}

    def tensors(self) -> dict[str, Tensor]:
        return self.masks

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self.masks = dict(tensors)


def _largest(scores: Tensor, count: int) -> Tensor:
    """Bool: the `count` largest entries, of equal ones the last."""
    from gpu_jobs.engine.pruning.masks import lowest

    return ~lowest(scores.reshape(1, -1), scores.numel() - count).view(scores.shape)


def _length(weight: nn.Parameter) -> Tensor:
    """|dL/dW|, zero where no gradient reached it."""
    import torch

    return torch.zeros_like(weight) if weight.grad is None else weight.grad.abs()
