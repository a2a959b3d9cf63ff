"""Linear: warm-up, then a straight line down to a share of the peak.

    f(t) = (t + 1) / w               for t < w
    f(t) = 1 - (1 - m) (t - w) / (T - w)   otherwise

with t the update, counted from 0, T their number, w the warm-up steps and m the final share.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_jobs import registry


class Knobs(registry.Knobs):
    name: Literal["linear"]
    warmup_steps: int = Field(0, ge=0, le=1_000_000, description="Updates over which the rate rises to its peak.")
    final: float = Field(0.0, ge=0, le=1, description="Share of the peak rate towards which it falls.")


def factor(knobs: Knobs, step: int, steps: int) -> float:
    """What the peak rate is multiplied by in update `step` of `steps`."""
    if step < knobs.warmup_steps:
        return (step + 1) / knobs.warmup_steps
    done = (step - knobs.warmup_steps) / max(1, steps - knobs.warmup_steps)
    return 1 - (1 - knobs.final) * done
