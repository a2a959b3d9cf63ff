"""PCB: entries compete within their task and between tasks; those that lose are dropped, the rest weighted by merit.

    a_i     =  |tau_i| clamped to its 0.01 % and 99.99 % quantiles
    intra   =  exp(n minmax(a_i)^2)             n experts; minmax maps an expert's entries to 0..1
    inter   =  tanh(tau_i * sum_j tau_j)
    m_i     =  minmax(max(intra inter, its (1 - ratio) quantile))
    theta   =  theta_0 + lambda sum_i w_i m_i sign(tau_i) a_i / max(sum_i m_i, 1e-12)

over each expert's whole task vector (Du et al. 2024, read from their code: `PCB_merge`; lambda 1.2 and ratio 0.1 are
theirs). The quantiles are the entries at ranks int(0.0001 d), int(0.9999 d - 1) and int((1 - ratio) d) of d, as there.
The weights w_i are ours. With one expert the result is its trimmed and clamped task vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs.deltas import Chunk, MergerKnobs, Stream, magnitudes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2410.02396"
TAIL = 0.0001


class Knobs(MergerKnobs):
    name: Literal["pcb"]
    scale: float = Field(1.2, ge=0, le=10, description=str(MergerKnobs.model_fields["scale"].description))
    ratio: float = Field(0.1, ge=0.01, le=1, description="Share of each task vector's entries that is kept.")


@dataclass(frozen=True)
class Ranges:
    """For each expert the least and largest magnitude, and the least and largest score."""

    magnitudes: list[list[float]]
    scores: list[list[float]]


def survey(knobs: Knobs, stream: Stream) -> Ranges:
    """Where magnitudes are clamped, then where scores are cut off."""
    from gpu_jobs.engine.merging.selection import order_statistics

    ends = order_statistics(stream, magnitudes, lambda d: [int(d * TAIL), max(0, int(d * (1 - TAIL) - 1))])
    scored = order_statistics(
        stream, lambda chunk: _scores(chunk, ends), lambda d: [min(d - 1, int(d * (1 - knobs.ratio))), d - 1]
    )
    return Ranges(ends, scored)


def _scores(chunk: Chunk, ends: list[list[float]]) -> list[Tensor]:
    total = sum(chunk.deltas[1:], chunk.deltas[0])
    clamped = [delta.abs().clamp(*range_) for delta, range_ in zip(chunk.deltas, ends, strict=True)]
    intra = [(len(clamped) * _unit(value, *range_).square()).exp() for value, range_ in zip(clamped, ends, strict=True)]
    return [value * (delta * total).tanh() for value, delta in zip(intra, chunk.deltas, strict=True)]


def _unit(value: Tensor, low: float, high: float) -> Tensor:
    """From low..high to 0..1; zero where there is nothing between them."""
    return (value.clamp(low, high) - low) / (high - low) if high > low else value * 0


def merits(knobs: Knobs, chunk: Chunk, state: Ranges) -> list[Tensor]:
    """m of each expert: zero for what is dropped."""
    return [_unit(score, *range_) for score, range_ in zip(_scores(chunk, state.magnitudes), state.scores, strict=True)]


def combine(knobs: Knobs, chunk: Chunk, state: Ranges) -> Tensor:
    """The mean of the clamped deltas, weighted by merit."""
    merit = merits(knobs, chunk, state)
    clamped = [
        delta.sign() * delta.abs().clamp(*range_) for delta, range_ in zip(chunk.deltas, state.magnitudes, strict=True)
    ]
    parts = [value * m * weight for value, m, weight in zip(clamped, merit, chunk.weights, strict=True)]
    return sum(parts[1:], parts[0]) / sum(merit[1:], merit[0]).clamp(min=1e-12)
