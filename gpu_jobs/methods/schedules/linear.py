"""Linear: warm-up, then a straight line down to a share of the peak.

    f(t) = (t + 1) / w               for t < w
    f(t) = 1 - (1 - m) (t - w) / (T - w)   otherwise

with t the update, counted from 0, T their number, w the warm-up steps and m the final share.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.methods.schedules import Moment


class Knobs(registry.Knobs):
    name: Literal["linear"]
    warmup_steps: int = Field(0, ge=0, le=1_000_000, description="Updates over which the rate rises to its peak.")
    final: float = Field(0.0, ge=0, le=1, description="Share of the peak rate towards which it falls.")


def factor(knobs: Knobs, at: Moment) -> float:
    """What the peak rate is multiplied by at this moment."""
    if at.step < knobs.warmup_steps:
        return (at.step + 1) / knobs.warmup_steps
    done = (at.step - knobs.warmup_steps) / max(1, at.steps - knobs.warmup_steps)
    return 1 - (1 - knobs.final) * done
