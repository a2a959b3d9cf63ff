"""ComPEFT: each task vector stored as signs and one number, then merged.

    tau_i  <-  alpha sd(tau_i) sign(tau_i) on the largest k entries by magnitude, 0 elsewhere

with k the density times the entries and sd the standard deviation of the whole task vector (Yadav et al. 2023; read
from their code, where the cutoff is that of the whole vector, too). alpha is chosen by validation: a grid or a search
over the knob alpha. What a run keeps beside the model are the signs, packed: see `engine/merging/ternary.py`. The
authors pack them with Golomb's code; Elias and Fano's takes about half a bit more for each entry that is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import followed
from gpu_jobs.deltas import DENSITY, Chunk, Cutoffs, Stream, largest

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2311.13171"


class Knobs(followed.FollowedKnobs):
    name: Literal["compeft"]
    density: float = Field(0.2, ge=0.01, le=0.5, description=DENSITY)
    alpha: float = Field(
        1.0, ge=0.5, le=10, description="What the standard deviation is multiplied by, to stand for a kept entry."
    )


@dataclass(frozen=True)
class Compressed:
    """The smallest magnitude that is kept, the number that stands for a kept entry, and what the next merger knows."""

    cutoffs: Cutoffs
    magnitudes: list[float]
    then: Any


def survey(knobs: Knobs, stream: Stream) -> Compressed:
    """The cutoffs and standard deviations of the whole task vectors."""
    (cutoffs,) = largest(stream, "global", lambda n: round(knobs.density * n))
    state = Compressed(cutoffs, [knobs.alpha * deviation for deviation in _deviations(stream)], None)
    then = followed.survey(knobs, stream, lambda chunk: change(knobs, chunk, state))
    return Compressed(cutoffs, state.magnitudes, then)


def _deviations(stream: Stream) -> list[float]:
    """Standard deviations, with n - 1 as torch takes them."""
    import torch

    sums, squares, count = (torch.zeros(stream.experts, dtype=torch.float64) for _ in range(3))
    for chunk in stream.chunks():
        wide = [delta.double() for delta in chunk.deltas]
        sums += torch.stack([value.sum() for value in wide])
        squares += torch.stack([value.square().sum() for value in wide])
        count += chunk.base.numel()
    found: list[float] = ((squares - sums.square() / count).clamp(min=0) / (count - 1).clamp(min=1)).sqrt().tolist()
    return found


def codes(knobs: Knobs, chunk: Chunk, state: Compressed) -> list[Tensor]:
    """Each delta as -1, 0 and 1."""
    import torch

    lows = state.cutoffs.of(chunk)
    return [(delta.sign() * (delta.abs() >= low)).to(torch.int8) for delta, low in zip(chunk.deltas, lows, strict=True)]


def magnitudes(knobs: Knobs, state: Compressed) -> list[float]:
    """What 1 stands for, for each expert."""
    return state.magnitudes


def change(knobs: Knobs, chunk: Chunk, state: Compressed) -> list[Tensor]:
    """The deltas as they come out of what is stored."""
    return [
        code.float() * magnitude for code, magnitude in zip(codes(knobs, chunk, state), state.magnitudes, strict=True)
    ]


def combine(knobs: Knobs, chunk: Chunk, state: Compressed) -> Tensor:
    """The compressed deltas, merged."""
    return followed.combine(knobs, chunk, state.then, lambda piece: change(knobs, piece, state))
