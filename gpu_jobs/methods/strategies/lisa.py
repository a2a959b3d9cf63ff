"""LISA: trains a few layers at a time, drawn anew every K steps.

    always    embedding, final norm, output layer
    else      gamma blocks of L, drawn uniformly without replacement in step 0, K, 2K, ...

(Pan et al. 2024, algorithm 1). The optimizer's state of blocks that are frozen again is dropped: only so is memory
saved. The reference script uses gamma = 1, K = 20. A draw comes from the run's seed and the number of the draw, so that
a resumed run draws the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, registry
from gpu_jobs.anatomy import BLOCK, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import nn

    from gpu_jobs.engine.job import Job
    from gpu_jobs.spec import Training

PAPER = "https://arxiv.org/abs/2403.17919"
IS_PARTIAL = True  # not everything that may be trained is trained in every step


class Knobs(registry.Knobs):
    name: Literal["lisa"]
    active: int = Field(1, ge=1, le=256, description="Blocks that are trained at a time.")
    every: int = Field(20, ge=1, le=100_000, description="Steps between draws.", json_schema_extra={"log": True})


def setup(knobs: Knobs, model: nn.Module) -> nn.Module:
    """Every parameter may take part."""
    return model.requires_grad_(True)


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """Every weight: in turn."""
    return anatomy.shapes


class Hooks(contracts.Hooks):
    """Draws the blocks."""

    def __init__(self, knobs: Any, model: nn.Module, spec: Training) -> None:
        super().__init__(knobs, model, spec)
        self.blocks: dict[int, list[nn.Parameter]] = {}
        for name, value in model.named_parameters():
            if found := BLOCK.search(name):
                self.blocks.setdefault(int(found.group(1)), []).append(value)

    def begin(self, job: Job) -> None:
        super().begin(job)
        self.chosen: list[int] = []

    def draw(self, number: int) -> list[int]:
        """The blocks of draw `number`, in order."""
        import torch

        generator = torch.Generator().manual_seed(self.spec.seed * 1_000_003 + number)
        order = torch.randperm(len(self.blocks), generator=generator)[: self.knobs.active]
        return sorted(list(self.blocks)[place] for place in order.tolist())

    def before_step(self, step: contracts.Step) -> None:
        chosen = self.draw(step.number // self.knobs.every)
        if chosen == self.chosen:
            return
        for block, parameters in self.blocks.items():
            for parameter in parameters:
                parameter.requires_grad_(block in chosen)
                if block not in chosen:
                    self.job.optimizer.state.pop(parameter, None)
        self.chosen = chosen

    def readings(self) -> dict[str, Any]:
        return {f"active/block_{block}": float(block in self.chosen) for block in self.blocks}
