"""Gaussian process: a smooth model of the values, asked where an improvement is likely.

A Matern 5/2 Gaussian process with automatic relevance and the logarithm of the expected improvement (Jones et al. 1998,
Ament et al. 2023); with several objectives, that of the hypervolume. The best for few, costly trials; each question
takes a second or more, so that beyond 300 trials it is told the best and an even sample of the rest. Knobs that only
count under a condition are drawn at random. Through Optuna's GPSampler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from webapp.sweeps.registry import Knobs as Base

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from webapp.sweeps.search.outcomes import Outcome
    from webapp.sweeps.search.problem import Problem

PAPER = "https://arxiv.org/abs/2310.20708"
REMEMBERS = 300
KEEPS_BEST = 50
TRIES = 3


class Knobs(Base):
    name: Literal["gp"]
    startup_trials: int = Field(10, ge=1, le=10_000, description="Random points before the model is used.")


def build(knobs: Knobs, problem: Problem, told: Sequence[Outcome]) -> BaseSampler:
    """Needs torch once the model is used: ask in a worker, never in a web server."""
    from optuna.samplers import GPSampler

    return GPSampler(seed=problem.seed, n_startup_trials=knobs.startup_trials, warn_independent_sampling=False)
