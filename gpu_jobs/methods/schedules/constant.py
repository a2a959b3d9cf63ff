"""Constant: warm-up, then the peak rate to the end.

    f(t) = (t + 1) / w   for t < w
    f(t) = 1             otherwise

with t the update, counted from 0, and w the warm-up steps.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_jobs import registry


class Knobs(registry.Knobs):
    name: Literal["constant"]
    warmup_steps: int = Field(0, ge=0, le=1_000_000, description="Updates over which the rate rises to its peak.")


def factor(knobs: Knobs, step: int, steps: int) -> float:
    """What the peak rate is multiplied by in update `step` of `steps`."""
    return (step + 1) / knobs.warmup_steps if step < knobs.warmup_steps else 1.0
