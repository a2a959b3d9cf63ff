"""DELLA: DARE that drops small entries more often than large ones.

    p_j    =  p + e (1/2 - r_j / (n - 1))        r_j the rank of |tau_j| in its row of n entries, 0 for the smallest
    tau_j  <-  m_j tau_j / (1 - p_j)             m_j = 0 with probability p_j, else 1

(Deep et al. 2024, MAGPRUNE.) Each entry keeps its expected value. The authors go on as TIES does, electing signs: the
default of `then`. Unchecked against the paper: ranks within a row, as here, or within a whole weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from gpu_jobs import followed
from gpu_jobs.deltas import Chunk, Stream

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2406.11617"
PLAIN = {"drop": 0.0, "spread": 0.0}
DROPS = True


class Knobs(followed.FollowedKnobs):
    name: Literal["della"]
    drop: float = Field(0.5, ge=0, le=0.99, description="Mean probability p with which an entry is dropped.")
    spread: float = Field(
        0.2, ge=0, le=1, description="e: how far the probabilities of the smallest and the largest lie apart."
    )
    then: followed.Then = Field(
        {"name": "ties", "density": 1.0},
        description="How the changed task vectors are merged.",
        validate_default=True,
    )

    @model_validator(mode="after")
    def _are_probabilities(self) -> Self:
        low, high = self.drop - self.spread / 2, self.drop + self.spread / 2
        if low < 0 or high > 0.995:
            raise ValueError(f"drop -/+ spread / 2 must lie between 0 and 0.995: they are {low:.4g} and {high:.4g}")
        return self


def probabilities(knobs: Knobs, delta: Tensor) -> Tensor:
    """p of each entry, by its rank among the magnitudes of its row."""
    import torch

    order = delta.abs().argsort(dim=-1)
    ranks = torch.empty_like(order).scatter_(-1, order, torch.arange(delta.shape[-1]).expand_as(order))
    return knobs.drop + knobs.spread * (0.5 - ranks / max(1, delta.shape[-1] - 1))


def change(knobs: Knobs, chunk: Chunk) -> list[Tensor]:
    """The deltas after dropping."""
    import torch

    found = []
    for expert, delta in enumerate(chunk.deltas):
        p = probabilities(knobs, delta) if delta.ndim else torch.tensor(knobs.drop)
        mask = torch.rand(delta.shape, generator=chunk.generator(expert)) >= p
        found.append(delta * mask / (1 - p))
    return found


def survey(knobs: Knobs, stream: Stream) -> Any:
    """What the merger after it must know."""
    return followed.survey(knobs, stream, lambda chunk: change(knobs, chunk))


def combine(knobs: Knobs, chunk: Chunk, state: Any) -> Tensor:
    """The dropped deltas, merged."""
    return followed.combine(knobs, chunk, state, lambda piece: change(knobs, piece))
