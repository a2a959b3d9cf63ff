"""Which coefficients are tried: those given, a grid's, or those that a pattern search comes to."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from gpu_jobs.deltas import MergerKnobs
from gpu_jobs.kinds.merge import Grid, Search, Spec, with_knob

Point = tuple[float, ...]


@dataclass(frozen=True)
class Candidate:
    """A method with its knobs, and the experts' weights."""

    method: MergerKnobs
    weights: tuple[float, ...]
    knob: str = "scale"

    def told(self) -> dict[str, Any]:
        """As the result says it."""
        return {self.knob: getattr(self.method, self.knob), "weights": list(self.weights)}


def candidates(spec: Spec) -> Generator[Candidate, float, None]:
    """Yields what is to be judged next and is sent its value, of which less is better."""
    given = Candidate(spec.method, tuple(expert.weight for expert in spec.chosen))
    match spec.coefficients:
        case Grid(knob=knob, values=values):
            for value in dict.fromkeys(values):
                yield Candidate(with_knob(spec.method, knob, value), given.weights, knob)
        case Search() as search:
            yield from _search(search, given)
        case _:
            yield given


def _search(search: Search, given: Candidate) -> Generator[Candidate, float, None]:
    start = [float(getattr(given.method, search.knob)), *(given.weights if search.weights else ())]
    at: Point = tuple(min(search.high, max(search.low, value)) for value in start)
    seen = {at: (yield _candidate(search, given, at))}
    step = (search.high - search.low) / 4
    while len(seen) < search.trials and step > 1e-6 * (search.high - search.low):
        better = False
        for point in _around(search, at, step):
            if len(seen) == search.trials:
                break
            if point not in seen:
                seen[point] = yield _candidate(search, given, point)
            if seen[point] < seen[at]:
                at, better = point, True
                break
        step = step if better else step / 2


def _candidate(search: Search, given: Candidate, point: Point) -> Candidate:
    weights = point[1:] if search.weights else given.weights
    return Candidate(with_knob(given.method, search.knob, point[0]), tuple(weights), search.knob)


def _around(search: Search, at: Point, step: float) -> Iterator[Point]:
    """The neighbours of a point: each number a step up, then down."""
    for number, value in enumerate(at):
        for move in (step, -step):
            moved = min(search.high, max(search.low, value + move))
            yield (*at[:number], moved, *at[number + 1 :])
