"""CMA-ES: a cloud of points that moves, stretches and turns towards the better ones.

Samples come from a Gaussian whose mean and covariance follow the best half of each generation (Hansen and Ostermeier
2001). For ranges and a hundred trials or more; choices, and knobs that only count under a condition, are drawn at
random. Through the `cmaes` package, Optuna's own.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from webapp.sweeps.registry import Knobs as Base

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from webapp.accounts.errors import FieldError
    from webapp.sweeps.definition import Search
    from webapp.sweeps.search.outcomes import Outcome
    from webapp.sweeps.search.problem import Problem

PAPER = "https://doi.org/10.1162/106365601750190398"
REMEMBERS = None
KEEPS_BEST = 0
TRIES = 100
MISSING = "CMA-ES needs the package cmaes, which is not installed here: choose tpe or gp, or pip install cmaes."


class Knobs(Base):
    name: Literal["cmaes"]
    population: int | None = Field(
        None, ge=4, le=1000, description="Trials per generation. Empty: 4 + 3 ln(number of ranges)."
    )


def build(knobs: Knobs, problem: Problem, told: Sequence[Outcome]) -> BaseSampler:
    from webapp.sweeps.errors import Exhausted
    from webapp.sweeps.search.evolution import Cma

    if importlib.util.find_spec("cmaes") is None:
        raise Exhausted(MISSING)
    if problem.objectives > 1:
        raise Exhausted("CMA-ES has one objective: choose nsga2 or tpe for several.")
    return Cma(problem, told, knobs.population)


def check(search: Search, spec: Mapping[str, Any]) -> list[FieldError]:
    from webapp.sweeps.search.problem import Problem

    msg = "CMA-ES needs a range that counts at every point; this space has none: choose tpe or random."
    if importlib.util.find_spec("cmaes") is None:
        msg = MISSING
    elif Problem(search, 1, spec, 0).numeric:
        return []
    return [{"loc": ["search", "sampler", "name"], "msg": msg}]
