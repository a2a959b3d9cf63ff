"""DAREx-q: DARE whose rest is scaled by a factor of its own, for high drop rates.

    tau_i  <-  m_i tau_i / q        m_i = 0 with probability p, else 1;  1 - p <= q <= 1

(Deng et al. 2024, "DARE the Extreme".) At q = 1 - p this is DARE, whose outputs vary the more the more is dropped; a
larger q gives up some of the expected change for less variance. By validation, q is chosen by `coefficients` of the
run: a grid or a search over the knob q. Not here: q for each layer, q by the change of outputs on a batch without
labels, and DAREx-L2, which fine-tunes with a pull towards the base so that deltas are small to begin with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from gpu_jobs import followed
from gpu_jobs.deltas import Chunk, Stream
from gpu_jobs.methods.mergers import dare

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2410.09344"
PLAIN = {"drop": 0.0, "q": 1.0}
DROPS = True


class Knobs(followed.FollowedKnobs):
    name: Literal["darex"]
    drop: float = Field(0.9, ge=0, le=0.99, description="Probability p with which an entry is dropped.")
    q: float = Field(
        0.2, gt=0, le=1, description="What is left is divided by this; at least 1 - drop, which is DARE's."
    )

    @model_validator(mode="after")
    def _shrinks(self) -> Self:
        if self.q < 1 - self.drop - 1e-9:
            raise ValueError(f"q must be at least 1 - drop: {self.q} < 1 - {self.drop}")
        return self


def change(knobs: Knobs, chunk: Chunk) -> list[Tensor]:
    """The deltas after dropping."""
    return dare.dropped(chunk, chunk.deltas, knobs.drop, knobs.q)


def survey(knobs: Knobs, stream: Stream) -> Any:
    """What the merger after it must know."""
    return followed.survey(knobs, stream, lambda chunk: change(knobs, chunk))


def combine(knobs: Knobs, chunk: Chunk, state: Any) -> Tensor:
    """The dropped deltas, merged."""
    return followed.combine(knobs, chunk, state, lambda piece: change(knobs, piece))
