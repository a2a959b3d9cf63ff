"""Random: every point drawn independently.

The baseline that every other sampler has to beat (Bergstra and Bengio 2012). Through Optuna's RandomSampler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from webapp.sweeps.registry import Knobs as Base

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from webapp.sweeps.definition import Search

PAPER = "https://www.jmlr.org/papers/v13/bergstra12a.html"


class Knobs(Base):
    name: Literal["random"]


def build(knobs: Knobs, search: Search) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=search.seed)
