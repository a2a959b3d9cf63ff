"""TIES: small entries trimmed, a sign elected for each entry, and the mean of those that agree with it.

    tau_i  <-  top_k(tau_i)
    s       =  sign(sum_i tau_i), or the sign that more of them have (`sign`: frequency)
    theta   =  theta_0 + lambda sum_{i: sign(tau_i) = s} w_i tau_i / |{i: sign(tau_i) = s}|

(Yadav et al. 2023.) The variant: signs are elected by unweighted deltas, the sum is divided by the number of experts
that agree, a tied election is won by plus (all as in HF PEFT, whose `ties` this equals under trim `tensor`), and of
entries that equal the smallest kept one all are kept. The authors' code trims the whole task vector, which is trim
`global`, and lets a tied election follow the sign that most entries of the model have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs.deltas import DENSITY, SCOPE, Chunk, Cutoffs, MergerKnobs, Scope, Stream, largest, trimmed

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2306.01708"
PLAIN = {"density": 1.0}


class Knobs(MergerKnobs):
    name: Literal["ties"]
    density: float = Field(0.2, ge=0.01, le=1, description=DENSITY)
    sign: Literal["total", "frequency"] = Field(
        "total", description="By what a sign is elected: the sum of the entries, or how many have it."
    )
    trim: Scope = Field("global", description=SCOPE)


def survey(knobs: Knobs, stream: Stream) -> Cutoffs:
    """The magnitude of the smallest entry that is kept; none has to be looked for where all are."""
    if knobs.density == 1:
        return Cutoffs({name: [0.0] * stream.experts for name in stream.names})
    return largest(stream, knobs.trim, lambda n: int(knobs.density * n))[0]


def combine(knobs: Knobs, chunk: Chunk, state: Cutoffs) -> Tensor:
    """The mean over the experts that agree with the elected sign."""
    import torch

    deltas = torch.stack(trimmed(chunk, state))  # (experts, ...)
    mass = deltas.sum(0) if knobs.sign == "total" else deltas.sign().sum(0)
    agrees = deltas.sign() == torch.where(mass >= 0, 1.0, -1.0)
    weights = torch.tensor(chunk.weights).view(-1, *[1] * chunk.base.ndim)
    return (deltas * weights * agrees).sum(0) / agrees.sum(0).clamp(min=1)
