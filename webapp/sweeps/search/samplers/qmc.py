"""Quasi-random: points that fill the space more evenly than chance.

A scrambled Sobol sequence (Sobol 1967, Owen 1998), through scipy's qmc.Sobol. The n-th trial gets the n-th point, over
ranges and choices alike; a knob that does not count at it is dropped. (Optuna's QMCSampler would keep its place in its
storage, and draws choices and conditional knobs at random.)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from webapp.sweeps.registry import Knobs as Base

if TYPE_CHECKING:
    from webapp.sweeps.search.problem import Problem

PAPER = "https://doi.org/10.1006/jcom.1998.0487"
BLOCK = 64
MOST = 2**15  # points past the place that are looked at when constraints refuse most of them


class Knobs(Base):
    name: Literal["qmc"]


def candidates(knobs: Knobs, problem: Problem, tried: int) -> Iterator[dict[str, Any]]:
    """From the place after the last trial; a place that constraints refused is passed over again each time."""
    return itertools.chain(itertools.islice(_sequence(problem, tried), MOST), problem.leftovers())


def _sequence(problem: Problem, place: int) -> Iterator[dict[str, Any]]:
    from scipy.stats.qmc import Sobol

    from webapp.sweeps.search.space import placed

    sobol = Sobol(len(problem.order), scramble=True, rng=problem.search.seed)
    if place:  # scipy 1.17 can't skip 0 points
        sobol.fast_forward(place)
    while True:
        for shares in sobol.random(BLOCK):  # (paths,) in [0, 1)
            yield placed(problem.space, dict(zip(problem.order, shares.tolist(), strict=True)), problem.whole)
