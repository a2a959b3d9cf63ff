"""Patience: stops a trial that has not improved for a number of steps.

An improvement is a value below the last one that counted by more than min_delta.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from webapp.sweeps.curves import Curve, Decision
from webapp.sweeps.registry import Knobs as Base


class Knobs(Base):
    name: Literal["patience"]
    steps: int = Field(ge=1, description="How long a trial may go without an improvement.")
    min_delta: float = Field(0.0, ge=0, description="A smaller change, as measured, is no improvement.")
    grace_steps: int = Field(0, ge=0, description="No trial is stopped before this step.")


def decide(knobs: Knobs, trial: Curve, others: Sequence[Curve], sign: float = 1.0) -> Decision | None:
    step = int(trial.steps[-1]) if len(trial.steps) else 0
    if not max(knobs.grace_steps, trial.judged_step + 1) <= step < trial.last_step:
        return None
    improved_at = _improved_at(trial, knobs.min_delta)
    if step - improved_at < knobs.steps:
        return Decision(False, step)
    return Decision(True, step, f"no improvement by more than {knobs.min_delta:g} since step {improved_at}")


def _improved_at(trial: Curve, min_delta: float) -> int:
    """The step of the last improvement; of the first value when there is none."""
    best, at = math.inf, int(trial.steps[0])
    for step, value in zip(trial.steps.tolist(), trial.values.tolist(), strict=True):
        if math.isfinite(value) and value < best - min_delta:
            best, at = value, step
    return at
