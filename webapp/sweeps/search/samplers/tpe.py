"""TPE: points that good trials make likely and bad ones don't.

A tree-structured Parzen estimator models the densities l(x) of good and g(x) of bad points and proposes where l/g is
largest (Bergstra et al. 2011, section 4). Jointly over all knobs that count together, each branch of a conditional
space on its own; trials that are running are taken for bad ones, so that no two are close. Through Optuna's
TPESampler. It calls at most 25 trials good and needs no more than the density of the others: beyond 200 it is told the
best and an even sample of the rest, so that a question takes about as long at 5,000 trials as at 200.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from webapp.sweeps.registry import Knobs as Base

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from webapp.sweeps.search.outcomes import Outcome
    from webapp.sweeps.search.problem import Problem

PAPER = "https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization"
REMEMBERS = 200
KEEPS_BEST = 25
TRIES = 20


class Knobs(Base):
    name: Literal["tpe"]
    startup_trials: int = Field(10, ge=0, le=10_000, description="Random points before the model is used.")


def build(knobs: Knobs, problem: Problem, told: Sequence[Outcome]) -> BaseSampler:
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # group has been one since 2021
        return TPESampler(
            n_startup_trials=knobs.startup_trials, multivariate=True, group=True, constant_liar=True, seed=problem.seed
        )
