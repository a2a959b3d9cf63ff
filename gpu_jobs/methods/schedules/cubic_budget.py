"""Cubic: warm-up and a hold, then a cubic fall to a share of the peak, which it then keeps.

    v(t) = i                          for t <= b
    v(t) = f + (i - f) (1 - u)^3      for b < t < T - e,   u = (t - b) / (T - e - b)
    v(t) = f                          otherwise

with t the update, T their number, b where the fall begins and e the updates after its end (AdaLoRA, section 3.3, where
v is the budget of ranks; LoRAPrune and SNELLA let a sparsity rise by it). `budget` is this ramp between any
two values, for methods that shrink something while they train. As a schedule of the rate i is 1, and the hold comes
after a warm-up (t + 1) / w.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.methods.schedules import Moment

PAPER = "https://arxiv.org/abs/2303.10512"


class Knobs(registry.Knobs):
    name: Literal["cubic_budget"]
    warmup_steps: int = Field(0, ge=0, le=1_000_000, description="Updates over which the rate rises to its peak.")
    hold: float = Field(0.0, ge=0, le=1, description="Share of all steps, warm-up included, before the fall begins.")
    tail: float = Field(0.0, ge=0, le=1, description="Share of all steps at the end, after the fall.")
    final: float = Field(0.0, ge=0, le=1, description="Share of the peak rate to which it falls.")


def factor(knobs: Knobs, at: Moment) -> float:
    """What the peak rate is multiplied by at this moment."""
    if at.step < knobs.warmup_steps:
        return (at.step + 1) / knobs.warmup_steps
    begin = max(knobs.warmup_steps, round(knobs.hold * at.steps))
    return budget(1.0, knobs.final, at.step, at.steps, begin, round(knobs.tail * at.steps))


def budget(initial: float, final: float, step: int, steps: int, begin: int = 0, tail: int = 0) -> float:
    """The ramp from `initial`, up to step `begin`, to `final`, from step `steps` - `tail` on."""
    end = steps - tail
    if step >= end:
        return final
    if step <= begin:
        return initial
    return final + (initial - final) * (1 - (step - begin) / (end - begin)) ** 3
