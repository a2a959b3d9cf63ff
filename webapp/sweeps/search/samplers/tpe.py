"""TPE: points that good trials make likely and bad ones don't.

A tree-structured Parzen estimator models the densities l(x) of good and g(x) of bad points and proposes where l/g is
largest (Bergstra et al. 2011, section 4). Through Optuna's TPESampler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from webapp.sweeps.registry import Knobs as Base

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from webapp.sweeps.definition import Search

PAPER = "https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization"


class Knobs(Base):
    name: Literal["tpe"]
    startup_trials: int = Field(10, ge=0, le=10_000, description="Random points before the model is used.")


def build(knobs: Knobs, search: Search) -> BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(n_startup_trials=knobs.startup_trials, constant_liar=True, seed=search.seed)
