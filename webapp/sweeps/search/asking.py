"""`ask`: a pure function from what has been tried to the next points."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from webapp.sweeps import registry
from webapp.sweeps.definition import Objective, Search
from webapp.sweeps.errors import Exhausted
from webapp.sweeps.search.outcomes import outcomes, recalled
from webapp.sweeps.search.problem import MOST_LISTED, Problem
from webapp.sweeps.states import TrialStatus

FEW = 20  # looks through the list of trials before a table of them is made


class Observation(NamedTuple):
    """A trial as the sampler sees it. `values` as measured; None when it has none (yet)."""

    number: int
    params: dict[str, Any]
    status: TrialStatus
    values: list[float] | None = None
    parent: int | None = None
    generation: int = 0


class Point(NamedTuple):
    """What to try. `parent` (a trial's number) and `steps` only where training goes on from another's checkpoint."""

    params: dict[str, Any]
    parent: int | None = None
    generation: int = 0
    steps: int | None = None


def ask(
    search: Search,
    objectives: Sequence[Objective],
    history: Sequence[Observation],
    count: int = 1,
    spec: Mapping[str, Any] | None = None,
) -> list[Point]:
    """Up to `count` points, which meet the constraints. Raises Exhausted when there is none, ever.

    Nothing is remembered between calls: the same search and history give the same points. Each point counts as running
    for the next, so two questions for one point give what one question for two gives. A point is never proposed twice,
    whatever became of it: the same point with the same seeds gives the same run. `spec` is the base spec: its schema
    tells which knobs are whole numbers (knobs.whole has the rule without it).
    """
    module = registry.entry_of(search.sampler).module
    if propose := getattr(module, "propose", None):
        found: list[Point] = propose(search.sampler, search, objectives, history, count, spec)
        return found
    points: list[Point] = []
    seen = list(history)
    number = max((one.number for one in history), default=0)
    while len(points) < count:
        params = _next(module, search, objectives, seen, spec)
        if params is None:
            break
        points.append(Point(params))
        seen.append(Observation(number + len(points), params, TrialStatus.QUEUED))
    if not points:
        raise Exhausted(_exhausted(search, len(history), spec))
    return points


def _next(
    module: ModuleType,
    search: Search,
    objectives: Sequence[Objective],
    seen: Sequence[Observation],
    spec: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    """The first candidate that meets the constraints and is new. The seed advances with the number of trials."""
    seed = int(np.random.SeedSequence([search.seed, len(seen)]).generate_state(1)[0])
    problem = Problem(search, len(objectives), spec, seed)
    tried = _Tried(seen)
    for params in _candidates(module, problem, objectives, seen):
        if not tried.has(params) and problem.allows(params):
            return params
    return None


class _Tried:
    """The points of history. The first few questions look through the list; only a long row of them, as of a grid, is
    worth a table of 5,000 points."""

    def __init__(self, seen: Sequence[Observation]) -> None:
        self.points = [one.params for one in seen]
        self.looks = 0

    def has(self, params: Mapping[str, Any]) -> bool:
        self.looks += 1
        return params in self.points if self.looks <= FEW else frozenset(params.items()) in self._table

    @functools.cached_property
    def _table(self) -> set[frozenset[tuple[str, Any]]]:
        return {frozenset(point.items()) for point in self.points}


def _candidates(
    module: ModuleType, problem: Problem, objectives: Sequence[Objective], seen: Sequence[Observation]
) -> Iterator[dict[str, Any]]:
    if candidates := getattr(module, "candidates", None):
        found: Iterator[dict[str, Any]] = candidates(problem.search.sampler, problem, len(seen))
        return found
    from webapp.sweeps.search.study import asked

    told = recalled(outcomes(objectives, seen), module.REMEMBERS, module.KEEPS_BEST) if module.REMEMBERS != 0 else []
    sampler = module.build(problem.search.sampler, problem, told)
    return itertools.chain(itertools.islice(asked(sampler, problem, told), module.TRIES), problem.leftovers())


def _exhausted(search: Search, tried: int, spec: Mapping[str, Any] | None) -> str:
    if done := getattr(registry.entry_of(search.sampler).module, "DONE", ""):
        return f"{done} ({tried} trials)."
    if Problem(search, 1, spec, 0).size <= MOST_LISTED:
        return f"Every point of the space is tried ({tried} trials): widen it to go on."
    return "No new point that meets the constraints was found: widen the space or the constraints."
