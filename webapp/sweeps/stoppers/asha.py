"""ASHA: at each rung only the best 1/reduction of those that came so far go on.

Rungs lie at min_steps * reduction^k. A trial that reaches one is stopped unless its value there is among the best

    floor(n / reduction)   of the n values at that rung so far, its own included

(Li et al. 2020, algorithm 2, in its stopping form: nobody waits to be promoted). While fewer than `reduction` trials
have come to a rung, whoever reaches it goes on; so do equals of the last that may. A trial is judged once at a rung.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from webapp.sweeps.curves import Curve, Decision, at_step
from webapp.sweeps.registry import Knobs as Base

PAPER = "https://arxiv.org/abs/1810.05934"


class Knobs(Base):
    name: Literal["asha"]
    min_steps: int = Field(ge=1, description="The first rung: no trial is stopped before it.")
    reduction: int = Field(3, ge=2, le=100, description="Of the trials at a rung, one in so many goes on.")


def rungs(first: int, reduction: int, last_step: int) -> Iterator[int]:
    """The steps at which trials are compared, the end left out: there is nothing to stop any more."""
    step = first
    while step < last_step:
        yield step
        step *= reduction


def decide(knobs: Knobs, trial: Curve, others: Sequence[Curve], sign: float = 1.0) -> Decision | None:
    return judge(list(rungs(knobs.min_steps, knobs.reduction, trial.last_step)), knobs.reduction, trial, others)


def judge(steps: Sequence[int], reduction: int, trial: Curve, others: Sequence[Curve]) -> Decision | None:
    """What becomes of a trial at the rungs that it has reached since it was last judged."""
    reached = int(trial.steps[-1]) if len(trial.steps) else 0
    due = [step for step in steps if trial.judged_step < step <= reached]
    for step in due:
        ranked = sorted(value for curve in (trial, *others) if (value := _value_at(curve, step)) is not None)
        own = _value_at(trial, step)
        if own is not None and len(ranked) >= reduction and own > ranked[len(ranked) // reduction - 1]:
            return Decision(True, step, f"not among the best 1/{reduction} of {len(ranked)} trials at step {step}")
    return Decision(False, due[-1]) if due else None


def _value_at(curve: Curve, step: int) -> float | None:
    """None when it has not come to this rung, or was not measured before it; what is no number is worst."""
    if not len(curve.steps) or curve.steps[-1] < step:
        return None
    value = at_step(curve, step)
    return value if value is None or math.isfinite(value) else math.inf
