"""LISA: trains a few layers at a time, drawn anew every K steps.

    always    embedding, final norm, output layer
    else      gamma blocks of L, drawn uniformly without replacement in step 0, K, 2K, ...

(Pan et al. 2024, algorithm 1). The optimizer's state of blocks that are frozen again is dropped: only so is memory
saved. The reference script uses gamma = 1, K = 20. A draw comes from the run's seed and the number of the draw, so that
a resumed run, and every rank, draws the same. With an adapter, what it has on a block is drawn with the block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from gpu_jobs import blocks, contracts
from gpu_jobs.adaptable import AdaptableKnobs, setup, sizes
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.shapes import Shapes, count

__all__ = ["setup", "sizes"]
PAPER = "https://arxiv.org/abs/2403.17919"
IS_PARTIAL = True  # not everything that may be trained is trained in every step
PARALLEL = ("ddp",)  # fsdp decides what has gradients when it shares the model out


class Knobs(AdaptableKnobs):
    name: Literal["lisa"]
    active: int = Field(1, ge=1, le=256, description="Blocks that are trained at a time.")
    every: int = Field(20, ge=1, le=100_000, description="Steps between draws.", json_schema_extra={"log": True})


def optimized(knobs: Knobs, anatomy: Anatomy, trained: Shapes) -> Shapes:
    """The optimizer keeps state of what is trained at the moment."""
    return blocks.largest(trained, knobs.active)


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """Gradients of what is trained at the moment."""
    return {"gradients": 4 * count(blocks.largest(trained, knobs.active))}


def backward(knobs: Knobs, anatomy: Anatomy, trained: Shapes, flops: Callable[[Shapes], int]) -> tuple[float, int]:
    """To the embedding, which is always trained; with an adapter to the lowest block that was drawn."""
    return blocks.backward(trained, knobs.active, flops, to_the_input=knobs.adapter is None)


class Hooks(blocks.BlockHooks):
    """Draws the blocks."""

    drawn = -1  # the number of the draw that is in force

    def draw(self, number: int) -> list[int]:
        """The places of the blocks of draw `number`."""
        import torch

        order: list[int] = torch.randperm(len(self.blocks), generator=self.generator(number)).tolist()
        return order[: self.knobs.active]

    def before_step(self, step: contracts.Step) -> None:
        number = step.number // self.knobs.every
        if number != self.drawn:
            self.choose(self.draw(number), forget=True)
            self.drawn = number
