"""Hyperband: several ASHAs side by side, which begin to stop at different steps.

How early a value tells who will win is not known, so trials are dealt out to brackets: bracket b has its first rung at
min_steps * reduction^b, the last bracket none. With S + 1 brackets and s = S - b, a bracket's trials are in proportion
to

    n_s = ceil((S + 1) / (s + 1) * reduction^s)

(Li et al. 2018, algorithm 1; each bracket asynchronous as in Li et al. 2020, section 3.1). A trial is compared with
those of its own bracket only. Which bracket it is in follows from its number, and from any first few trials each
bracket gets about its share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from webapp.sweeps.curves import Curve, Decision
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.stoppers import asha

PAPER = "https://jmlr.org/papers/v18/16-558.html"
GOLDEN = (math.sqrt(5) - 1) / 2  # multiples of it, modulo 1, are spread evenly however many there are


class Knobs(Base):
    name: Literal["hyperband"]
    min_steps: int = Field(ge=1, description="The first rung of the most eager bracket.")
    reduction: int = Field(3, ge=2, le=100, description="Of the trials at a rung, one in so many goes on.")


def shares(brackets: int, reduction: int) -> list[int]:
    """How many trials each bracket gets, the most eager first, for one of the last."""
    return [math.ceil(brackets / (s + 1) * reduction**s) for s in reversed(range(brackets))]


def bracket_of(knobs: Knobs, trial: Curve) -> int:
    """From 0, the most eager."""
    brackets = 1 + sum(1 for _ in asha.rungs(knobs.min_steps, knobs.reduction, trial.last_step))
    parts = shares(brackets, knobs.reduction)
    place = trial.trial * GOLDEN % 1 * sum(parts)
    return next(bracket for bracket in range(brackets) if place < sum(parts[: bracket + 1]))


def decide(knobs: Knobs, trial: Curve, others: Sequence[Curve], sign: float = 1.0) -> Decision | None:
    bracket = bracket_of(knobs, trial)
    first = knobs.min_steps * knobs.reduction**bracket
    peers = [other for other in others if bracket_of(knobs, other) == bracket]
    return asha.judge(list(asha.rungs(first, knobs.reduction, trial.last_step)), knobs.reduction, trial, peers)
