"""ASHA: at each rung only the best 1/reduction of those that came so far go on.

Rungs lie at min_steps * reduction^k. A trial that reaches one is stopped unless its value there is among the best
1/reduction of all values at that rung so far (Li et al. 2020, algorithm 2, in its stopping form: nobody waits).
"""

from __future__ import annotations

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


def rungs(knobs: Knobs, last_step: int) -> Iterator[int]:
    step = knobs.min_steps
    while step < last_step:
        yield step
        step *= knobs.reduction


def decide(knobs: Knobs, trial: Curve, others: Sequence[Curve], sign: float = 1.0) -> Decision | None:
    reached = int(trial.steps[-1]) if len(trial.steps) else 0
    due = [rung for rung in rungs(knobs, trial.last_step) if trial.judged_step < rung <= reached]
    for rung in due:
        value = at_step(trial, rung)
        if value is None:
            continue  # its first evaluation comes after this rung
        peers = [peer for other in others if other.steps.size and other.steps[-1] >= rung
                 for peer in [at_step(other, rung)] if peer is not None]  # fmt: skip
        ranked = sorted([*peers, value])
        if len(ranked) >= knobs.reduction and value > ranked[len(ranked) // knobs.reduction - 1]:
            return Decision(True, rung, f"not among the best 1/{knobs.reduction} of {len(ranked)} at step {rung}")
    return Decision(False, due[-1]) if due else None
