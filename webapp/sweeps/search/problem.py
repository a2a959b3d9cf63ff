"""A search made ready for samplers: its dimensions in order, which are whole, its constraints, and all its points."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from webapp.sweeps.definition import Range, Search, Space
from webapp.sweeps.search import dimensions, knobs, space
from webapp.sweeps.search.expressions import Expression

MOST_LISTED = 20_000  # a space of no more points is searched to its end
DRAWS = 5_000


class Problem:
    """Parents come before their conditional children in `order`. `seed` is that of this one question."""

    def __init__(self, search: Search, objectives: int, spec: Mapping[str, Any] | None, seed: int) -> None:
        self.search, self.objectives, self.seed = search, objectives, seed
        self.order = space.ordered(search.space)
        self.whole = knobs.whole(spec, search.space)

    @property
    def space(self) -> Space:
        return self.search.space

    @cached_property
    def constraints(self) -> list[Expression]:
        return space.constraints(self.search)

    @cached_property
    def distributions(self) -> dict[str, Any]:
        """Of Optuna, in order."""
        return {path: dimensions.distribution(self.space[path], path in self.whole) for path in self.order}

    @cached_property
    def numeric(self) -> list[str]:
        """The ranges with more than one value that count at every point."""
        return [path for path in self.order if isinstance(one := self.space[path], Range) and not one.when
                and dimensions.size(one, path in self.whole) > 1]  # fmt: skip

    @property
    def size(self) -> float:
        """An upper bound on how many points there are."""
        return math.prod(dimensions.size(one, path in self.whole) for path, one in self.space.items())

    def allows(self, params: Mapping[str, Any]) -> bool:
        return all(one.holds(params) for one in self.constraints)

    def fitting(self, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """What counts of a tried point in this space, which may have been edited since; None where it lies outside."""
        found: dict[str, Any] = {}
        for path in self.order:
            if space.is_active(self.space[path], found):
                if path not in params or not dimensions.contains(self.space[path], params[path], path in self.whole):
                    return None
                found[path] = params[path]
        return found

    def listed(self, points: int | None = None) -> Iterator[dict[str, Any]]:
        """Every point in a stable order, the first dimension slowest. `points`: see dimensions.values."""
        values = {path: dimensions.values(self.space[path], path in self.whole, points) for path in self.order}
        return self._branch(values, 0, {})

    def leftovers(self) -> Iterator[dict[str, Any]]:
        """Random points, for when a sampler has found none: all there are, or a few thousand draws."""
        if self.size <= MOST_LISTED:
            every = list(self.listed())
            return (every[place] for place in np.random.default_rng(self.seed).permutation(len(every)))
        return itertools.islice(space.drawn(self.space, self.whole, self.seed), DRAWS)

    def _branch(self, values: Mapping[str, list[Any]], depth: int, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if depth == len(self.order):
            yield params
            return
        path = self.order[depth]
        if not space.is_active(self.space[path], params):
            yield from self._branch(values, depth + 1, params)
            return
        for value in values[path]:
            yield from self._branch(values, depth + 1, {**params, path: value})
