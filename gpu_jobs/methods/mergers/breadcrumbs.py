"""Breadcrumbs: the smallest and the very largest entries of each weight masked, then added.

    theta = theta_0 + lambda sum_i w_i m_i tau_i        m_i = 1 where q_beta <= |tau_i| and |tau_i| below the top gamma

with the quantiles of |tau_i| within each weight ("Model Breadcrumbs", Davari and Belilovsky 2023): the small entries
are noise, the outliers disturb the other tasks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs.deltas import Chunk, Cutoffs, MergerKnobs, Stream, largest, weighted_sum

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2312.06795"
PLAIN = {"small": 0.0, "outliers": 0.0}


class Knobs(MergerKnobs):
    name: Literal["breadcrumbs"]
    small: float = Field(0.85, ge=0, le=0.99, description="Share of the entries of a weight that is dropped as small.")
    outliers: float = Field(0.01, ge=0, le=0.5, description="Share of the entries that is dropped as too large.")


def survey(knobs: Knobs, stream: Stream) -> tuple[Cutoffs, Cutoffs]:
    """The magnitude of the smallest entry that is kept, and of the smallest that is too large."""
    low, high = largest(stream, "tensor", lambda n: n - int(knobs.small * n), lambda n: int(knobs.outliers * n))
    return low, high


def combine(knobs: Knobs, chunk: Chunk, state: tuple[Cutoffs, Cutoffs]) -> Tensor:
    """The weighted sum of what is left."""
    low, high = (cutoffs.of(chunk) for cutoffs in state)
    bounds = zip(chunk.deltas, low, high, strict=True)
    deltas = [delta * ((delta.abs() >= least) & (delta.abs() < most)) for delta, least, most in bounds]
    return weighted_sum(replace(chunk, deltas=deltas))
