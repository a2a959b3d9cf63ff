"""Threshold: stops a trial that is worse than a given value at a given step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from webapp.sweeps.curves import Curve, Decision, at_step
from webapp.sweeps.registry import Knobs as Base


class Knobs(Base):
    name: Literal["threshold"]
    value: float = Field(description="The worst value that is let live, as measured.")
    step: int = Field(ge=1, description="When it is looked at.")


def decide(knobs: Knobs, trial: Curve, others: Sequence[Curve], sign: float = 1.0) -> Decision | None:
    """`sign` turns the knob's value, which is given as measured."""
    reached = int(trial.steps[-1]) if len(trial.steps) else 0
    if not trial.judged_step < knobs.step <= reached or knobs.step >= trial.last_step:
        return None
    value = at_step(trial, knobs.step)
    if value is None or (math.isfinite(value) and value <= sign * knobs.value):
        return Decision(False, knobs.step)
    return Decision(True, knobs.step, f"{sign * value:.4g} at step {knobs.step} is past the threshold {knobs.value:g}")
