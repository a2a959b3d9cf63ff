"""WSD: warm-up, a stable plateau, then a decay.

    f(t) = (t + 1) / w                      for t < w
    f(t) = 1                                for w <= t < T - d
    f(t) = 1 - (1 - m) g((t - T + d) / d)   otherwise

with t the update, counted from 0, T their number, w the warm-up steps, d the decay steps (`decay` of T), m the final
share, and g(x) = x (linear) or sqrt(x) (Hagele et al. 2024, "1-sqrt"). MiniCPM (section 4) names the shape; because the
plateau does not depend on T, one run serves many lengths.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.methods.schedules import Moment

PAPER = "https://arxiv.org/abs/2404.06395"


class Knobs(registry.Knobs):
    name: Literal["wsd"]
    warmup_steps: int = Field(0, ge=0, le=1_000_000, description="Updates over which the rate rises to its peak.")
    decay: float = Field(0.2, gt=0, le=1, description="Share of all steps that the decay at the end takes.")
    final: float = Field(0.0, ge=0, le=1, description="Share of the peak rate towards which it falls.")
    shape: Literal["linear", "sqrt"] = Field("sqrt", description="sqrt falls fast at first, then slowly.")


def factor(knobs: Knobs, at: Moment) -> float:
    """What the peak rate is multiplied by at this moment."""
    if at.step < knobs.warmup_steps:
        return (at.step + 1) / knobs.warmup_steps
    decay = max(1, round(knobs.decay * at.steps))
    done = max(0, at.step - at.steps + decay) / decay
    return 1 - (1 - knobs.final) * (math.sqrt(done) if knobs.shape == "sqrt" else done)
