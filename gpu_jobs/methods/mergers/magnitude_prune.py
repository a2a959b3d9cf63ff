"""Magnitude pruning: each task vector cut to its largest entries, then added.

    theta = theta_0 + lambda sum_i w_i top_k(tau_i)

with k the density times the entries of a weight, or of the whole task vector. It is what TIES does without electing
signs, and what HF PEFT calls magnitude_prune. At a density of 1e-4 it is the start of the graft of "Task-specific skill
localization" (Panigrahi et al. 2023); their training of the mask is not done here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs.deltas import DENSITY, SCOPE, Chunk, Cutoffs, MergerKnobs, Scope, Stream, largest, trimmed, weighted_sum

if TYPE_CHECKING:
    from torch import Tensor

PLAIN = {"density": 1.0}


class Knobs(MergerKnobs):
    name: Literal["magnitude_prune"]
    density: float = Field(0.2, ge=1e-5, le=1, description=DENSITY, json_schema_extra={"log": True})
    trim: Scope = Field("tensor", description=SCOPE)


def survey(knobs: Knobs, stream: Stream) -> Cutoffs:
    """The magnitude of the smallest entry that is kept."""
    return largest(stream, knobs.trim, lambda n: int(knobs.density * n))[0]


def combine(knobs: Knobs, chunk: Chunk, state: Cutoffs) -> Tensor:
    """The weighted sum of what is left."""
    return weighted_sum(replace(chunk, deltas=trimmed(chunk, state)))
