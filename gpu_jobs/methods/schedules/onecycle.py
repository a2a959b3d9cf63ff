"""OneCycle: up to the peak, then down far below where it began.

    f(t) = s + (1 - s) g(t / p)                     for t <= p
    f(t) = m + (1 - m) (1 - g((t - p) / (T - 1 - p)))   otherwise

with t the update, counted from 0, T their number, p = rise T - 1 where the peak is, s the share of the peak at which it
starts, m that at which it ends, exactly in the last update, and g(x) = (1 - cos(pi x)) / 2 or x (Smith and Topin 2017).
torch's OneCycleLR computes the same with div_factor = 1 / s and final_div_factor = s / m. The momentum, which the paper
moves the other way, stays as the optimizer has it.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.methods.schedules import Moment

PAPER = "https://arxiv.org/abs/1708.07120"


class Knobs(registry.Knobs):
    name: Literal["onecycle"]
    rise: float = Field(0.3, ge=0, le=1, description="Share of all steps over which the rate rises to its peak.")
    start: float = Field(0.04, ge=0, le=1, description="Share of the peak rate at which it starts.")
    final: float = Field(4e-6, ge=0, le=1, description="Share of the peak rate at which it ends.")
    anneal: Literal["cosine", "linear"] = Field("cosine", description="How it goes from one to the next.")


def factor(knobs: Knobs, at: Moment) -> float:
    """What the peak rate is multiplied by at this moment."""
    peak, last = knobs.rise * at.steps - 1, at.steps - 1
    if at.step < peak:
        return _between(knobs.start, 1, at.step / peak, knobs.anneal)
    return _between(1, knobs.final, (at.step - max(0.0, peak)) / max(1.0, last - max(0.0, peak)), knobs.anneal)


def _between(begin: float, end: float, done: float, shape: str) -> float:
    return begin + (end - begin) * ((1 - math.cos(math.pi * done)) / 2 if shape == "cosine" else done)
