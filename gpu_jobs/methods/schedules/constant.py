"""Constant: warm-up, then the peak rate to the end.

    f(t) = (t + 1) / w   for t < w
    f(t) = 1             otherwise

with t the update, counted from 0, and w the warm-up steps.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.methods.schedules import Moment


class Knobs(registry.Knobs):
    name: Literal["constant"]
    warmup_steps: int = Field(0, ge=0, le=1_000_000, description="Updates over which the rate rises to its peak.")


def factor(knobs: Knobs, at: Moment) -> float:
    """What the peak rate is multiplied by at this moment."""
    return (at.step + 1) / knobs.warmup_steps if at.step < knobs.warmup_steps else 1.0
