"""Which recipe is best, by one number with an interval each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from gpu_jobs.errors import DataError


class Estimate(NamedTuple):
    value: float
    low: float
    high: float


def ranked(recipes: Mapping[str, Estimate]) -> list[str]:
    """Names from the lowest value up. Raises DataError where the intervals of neighbours overlap."""
    order = sorted(recipes, key=lambda name: recipes[name].value)
    for better, worse in pairwise(order):
        if recipes[better].high >= recipes[worse].low:
            one, other = recipes[better], recipes[worse]
            raise DataError(
                f"{better} ({one.low:.4g} to {one.high:.4g}) and {worse} ({other.low:.4g} to {other.high:.4g}) "
                "can't be ranked: their intervals overlap; add points"
            )
    return order
