"""Median: stops a trial whose best value is worse than the median of the others' running averages.

    stop at step s when   min(y_1..y_s) > median over the others of mean(y_1..y_s)

(Golovin et al. 2017, section 3.2.2). It assumes nothing about the shape of curves. The paper compares with completed
trials; here it is with all that have come to this step, so that a first wave of trials running side by side is
compared, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from webapp.sweeps.curves import Curve, Decision
from webapp.sweeps.registry import Knobs as Base

PAPER = "https://research.google/pubs/google-vizier-a-service-for-black-box-optimization/"


class Knobs(Base):
    name: Literal["median"]
    grace_steps: int = Field(ge=1, description="No trial is stopped before this step.")
    min_trials: int = Field(5, ge=1, le=10_000, description="Others that must have come as far.")


def decide(knobs: Knobs, trial: Curve, others: Sequence[Curve], sign: float = 1.0) -> Decision | None:
    step = int(trial.steps[-1]) if len(trial.steps) else 0
    if not max(knobs.grace_steps, trial.judged_step + 1) <= step < trial.last_step:
        return None
    averages = [_average(other, step) for other in others if len(other.steps) and other.steps[-1] >= step]
    best = float(_finite(trial.values).min())
    if len(averages) < knobs.min_trials or best <= (middle := float(np.median(averages))):
        return Decision(False, step)
    return Decision(True, step, f"best of {sign * best:.4g} by step {step} is worse than the median of {len(averages)} "
                                f"others' averages, {sign * middle:.4g}")  # fmt: skip


def _average(curve: Curve, step: int) -> float:
    """Of its values up to a step; infinite when one of them is no number."""
    values = curve.values[curve.steps <= step]
    return float(_finite(values).mean()) if len(values) else np.inf


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.inf)
