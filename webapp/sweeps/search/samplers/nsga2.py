"""NSGA-II: a population that breeds towards the whole Pareto front.

Parents are the points that the fewest dominate, the loneliest first among equals; children cross two of them and mutate
(Deb et al. 2002, section III). For two or three objectives and many trials. Knobs that only count under a condition
are drawn at random. Through Optuna's NSGAIISampler.
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

PAPER = "https://doi.org/10.1109/4235.996017"
REMEMBERS = None
KEEPS_BEST = 0
TRIES = 20


class Knobs(Base):
    name: Literal["nsga2"]
    population: int = Field(50, ge=2, le=1000, description="Trials per generation.")


def build(knobs: Knobs, problem: Problem, told: Sequence[Outcome]) -> BaseSampler:
    from webapp.sweeps.search.evolution import Nsga2

    return Nsga2(population_size=knobs.population, seed=problem.seed)
