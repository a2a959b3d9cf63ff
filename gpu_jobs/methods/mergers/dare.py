"""DARE: entries of each task vector dropped at random, the rest scaled up, then merged.

    tau_i  <-  m_i tau_i / (1 - p)        m_i = 0 with probability p, else 1, for each entry by itself

which leaves the expected task vector as it is, with variance p / (1 - p) tau^2 (Yu et al. 2024, "Language models are
super Mario"). Their warning: it needs small deltas, fine where they lie within about 0.005 and failing where they reach
0.03; on the weights themselves instead of deltas even p = 0.1 can leave nothing. Their variant that drops the smallest
entries instead is `magnitude_prune`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import followed
from gpu_jobs.deltas import Chunk, Stream

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2311.03099"
PLAIN = {"drop": 0.0}
DROPS = True


class Knobs(followed.FollowedKnobs):
    name: Literal["dare"]
    drop: float = Field(0.5, ge=0, le=0.99, description="Probability p with which an entry is dropped.")
    on: Literal["delta", "weight"] = Field(
        "delta",
        description="What is dropped: the change, or, to see it fail, the expert's weight itself.",
        json_schema_extra={"advanced": True},
    )


def dropped(chunk: Chunk, values: list[Tensor], drop: float, kept: float) -> list[Tensor]:
    """The values, each entry zero with probability `drop`, divided by `kept`."""
    import torch

    found = []
    for expert, value in enumerate(values):
        mask = torch.rand(value.shape, generator=chunk.generator(expert)) >= drop
        found.append(value * mask / kept)
    return found


def change(knobs: Knobs, chunk: Chunk) -> list[Tensor]:
    """The deltas after dropping."""
    if knobs.on == "delta":
        return dropped(chunk, chunk.deltas, knobs.drop, 1 - knobs.drop)
    weights = [chunk.base + delta for delta in chunk.deltas]
    return [value - chunk.base for value in dropped(chunk, weights, knobs.drop, 1 - knobs.drop)]


def survey(knobs: Knobs, stream: Stream) -> Any:
    """What the merger after it must know."""
    return followed.survey(knobs, stream, lambda chunk: change(knobs, chunk))


def combine(knobs: Knobs, chunk: Chunk, state: Any) -> Tensor:
    """The dropped deltas, merged."""
    return followed.combine(knobs, chunk, state, lambda piece: change(knobs, piece))
