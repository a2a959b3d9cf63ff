"""Random: every point drawn independently.

The baseline that every other sampler has to beat (Bergstra and Bengio 2012). Through Optuna's RandomSampler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from webapp.sweeps.registry import Knobs as Base

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from webapp.sweeps.search.outcomes import Outcome
    from webapp.sweeps.search.problem import Problem

PAPER = "https://www.jmlr.org/papers/v13/bergstra12a.html"
REMEMBERS = 0
KEEPS_BEST = 0
TRIES = 1000


class Knobs(Base):
    name: Literal["random"]


def build(knobs: Knobs, problem: Problem, told: Sequence[Outcome]) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=problem.seed)
