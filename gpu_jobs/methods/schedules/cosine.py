"""Cosine: warm-up, then half a cosine down to a share of the peak.

    f(t) = (t + 1) / w                                  for t < w
    f(t) = m + (1 - m) (1 + cos(pi (t - w) / (T - w))) / 2   otherwise

with t the update, counted from 0, T their number, w the warm-up steps and m the final share (SGDR, equation 5, with one
period).
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.methods.schedules import Moment

PAPER = "https://arxiv.org/abs/1608.03983"


class Knobs(registry.Knobs):
    name: Literal["cosine"]
    warmup_steps: int = Field(0, ge=0, le=1_000_000, description="Updates over which the rate rises to its peak.")
    final: float = Field(0.0, ge=0, le=1, description="Share of the peak rate towards which it falls; often 0.1.")


def factor(knobs: Knobs, at: Moment) -> float:
    """What the peak rate is multiplied by at this moment."""
    if at.step < knobs.warmup_steps:
        return (at.step + 1) / knobs.warmup_steps
    done = (at.step - knobs.warmup_steps) / max(1, at.steps - knobs.warmup_steps)
    return knobs.final + (1 - knobs.final) * (1 + math.cos(math.pi * done)) / 2
