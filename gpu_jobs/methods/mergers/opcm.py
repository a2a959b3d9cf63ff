"""OPCM: experts one after another, each projected off the directions that the merged model uses already.

    R_1 = tau_1,   R_t = R_{t-1} + P(tau_t; R_{t-1}),   theta = theta_0 + lambda R_n mean_i|tau_i| / |R_n|

With R_{t-1} = U S V^T, P(tau) is U^T tau V with its diagonal and its first k x k block set to zero, turned back; k is
the number of singular values before their sum exceeds the share a of all (Tang et al. 2025, read from their code; a is
0.5 there). Vectors, tables and heads are added as they are. Norms are those of the whole task vectors. Their merged
model is scaled anew after each expert, which changes neither U nor V, so that scaling once at the end gives the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs.deltas import Chunk, MergerKnobs, Stream
from gpu_jobs.shapes import is_hidden_matrix

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2501.09522"
PLAIN: dict[str, float] = {}
SEQUENTIAL, WHOLE = True, True


class Knobs(MergerKnobs):
    name: Literal["opcm"]
    share: float = Field(
        0.5, ge=0, le=1, description="Share of the singular values' sum whose directions are kept clear of new experts."
    )


def survey(knobs: Knobs, stream: Stream) -> float:
    """What the sum is multiplied by."""
    import torch

    squares, total = torch.zeros(stream.experts, dtype=torch.float64), 0.0
    for chunk in stream.chunks():
        squares += torch.stack([(delta * weight).double().square().sum() for delta, weight in _weighted(chunk)])
        total += float(_joined(knobs, chunk).double().square().sum())
    return float(squares.sqrt().mean()) / math.sqrt(total) if total else 1.0


def _weighted(chunk: Chunk) -> list[tuple[Tensor, float]]:
    return list(zip(chunk.deltas, chunk.weights, strict=True))


def _joined(knobs: Knobs, chunk: Chunk) -> Tensor:
    joined = chunk.deltas[0] * chunk.weights[0]
    for delta, weight in _weighted(chunk)[1:]:
        new = delta * weight
        is_matrix = is_hidden_matrix(chunk.name, tuple(new.shape))
        joined = joined + (projected(new, joined, knobs.share) if is_matrix else new)
    return joined


def projected(delta: Tensor, joined: Tensor, share: float) -> Tensor:
    """P: the delta without its part along pairs of directions of what is joined."""
    import torch

    if not joined.any():
        return delta
    u, s, vh = torch.linalg.svd(joined, full_matrices=False)
    inner = u.T @ delta @ vh.T  # (r, r); what lies outside of it is untouched by P
    removed = torch.diag(inner.diagonal())
    k = int((s.cumsum(0) / s.sum() > share).float().argmax())
    removed[:k, :k] = inner[:k, :k]
    projection: Tensor = u @ removed @ vh
    return delta - projection


def combine(knobs: Knobs, chunk: Chunk, state: float) -> Tensor:
    """The experts joined in order, at the mean length of their task vectors."""
    return _joined(knobs, chunk) * state
