"""Population based training: members train side by side, bad ones go on from copies of good ones, with other knobs.

Every member trains `interval_steps` at a time. When one has ended generation g, it is compared with all that have ended
g so far:

    exploit   in the worst `quantile`: a random one of the best `quantile` goes on in its place, from that checkpoint
    explore   each knob of the copy times 0.8 or 1.2 (a choice: its neighbour), or drawn anew with chance `resample`
    else      it goes on itself, from its own checkpoint, with its own knobs

(Jaderberg et al. 2017, algorithm 1 with truncation selection, section 4.1.1.) Asynchronous: nobody waits for a
generation to be complete, but earlier generations are served first. A member that failed or was stopped counts as
worst; one that a person cancelled leaves the population. Every generation of a member is a trial, so a sweep of
population x generations trials ends by itself. It needs a schedule that does not depend on `steps`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from webapp.sweeps.errors import Exhausted
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.states import CLOSED, TrialStatus

if TYPE_CHECKING:
    from numpy.random import Generator

    from webapp.accounts.errors import FieldError
    from webapp.sweeps.definition import Dimension, Objective, Search
    from webapp.sweeps.search.asking import Observation, Point

PAPER = "https://arxiv.org/abs/1711.09846"
GOES_ON = True  # its points go on from others' checkpoints
TRIES = 1000


class Knobs(Base):
    name: Literal["pbt"]
    population: int = Field(10, ge=2, le=1000, description="Members that train side by side.")
    interval_steps: int = Field(100, ge=1, description="Steps after which a member is compared.")
    quantile: float = Field(0.25, gt=0, le=0.5, description="Share of the worst that are replaced by the best.")
    shrink: float = Field(0.8, gt=0, le=1, description="A copied knob is multiplied by this or by grow.")
    grow: float = Field(1.2, ge=1, le=10, description="A copied knob is multiplied by this or by shrink.")
    resample: float = Field(0.25, ge=0, le=1, description="Chance that a copied knob is drawn anew instead.")


def propose(
    knobs: Knobs,
    search: Search,
    objectives: Sequence[Objective],
    history: Sequence[Observation],
    count: int,
    spec: Mapping[str, Any] | None = None,
) -> list[Point]:
    """Up to `count` points; none while all members train. Raises Exhausted when a whole generation has failed.

    `steps` of a point are those at which its run ends, counted from the start of its line. `spec`: see asking.ask.
    """
    from webapp.sweeps.search.asking import Observation

    if len(objectives) > 1:
        raise Exhausted("Population based training has one objective: choose nsga2 or tpe for several.")
    points: list[Point] = []
    seen = list(history)
    while len(points) < count and (point := _next(knobs, search, objectives[0], seen, spec)):
        points.append(point)
        number = max((one.number for one in seen), default=0) + 1
        seen.append(Observation(number, point.params, TrialStatus.QUEUED, None, point.parent, point.generation))
    return points


def check(search: Search, spec: Mapping[str, Any]) -> list[FieldError]:
    """What of a space can't change while training goes on, and what the base spec lacks for it."""
    from webapp.sweeps import forkable

    assert isinstance(search.sampler, Knobs)
    return list(forkable.errors(search.space, spec, search.sampler.interval_steps))


def _next(
    knobs: Knobs, search: Search, objective: Objective, seen: Sequence[Observation], spec: Mapping[str, Any] | None
) -> Point | None:
    """The seed advances with the number of trials, so that the same history gives the same point."""
    import numpy as np

    from webapp.sweeps.search.asking import Point

    random = np.random.default_rng([search.seed, len(seen)])
    if sum(not one.generation for one in seen) < knobs.population:
        return Point(_fresh(search, spec, random), steps=knobs.interval_steps)
    for generation in range(max(one.generation for one in seen) + 1):
        ranked = _ranked(objective, [one for one in seen if one.generation == generation])
        if waiting := _waiting(ranked, [one for one in seen if one.generation == generation + 1]):
            best = [one for one in ranked if one.status == TrialStatus.SUCCEEDED]
            if not best and all(one.status in CLOSED for one in seen if one.generation == generation):
                raise Exhausted(f"No member of generation {generation} has ended well: look at their messages.")
            if best:
                parent, params = _succession(knobs, search, waiting[0], ranked, best, random, spec)
                return Point(params, parent, generation + 1, knobs.interval_steps * (generation + 2))
    return None


def _ranked(objective: Objective, members: Sequence[Observation]) -> list[Observation]:
    """Those that have ended, best first, the ones without a value last."""
    from webapp.sweeps.definition import sign

    def loss(one: Observation) -> float:
        value = one.values[0] if one.status == TrialStatus.SUCCEEDED and one.values else math.inf
        return sign(objective) * value if math.isfinite(value) else math.inf

    ended = [one for one in members if one.status in CLOSED and one.status != TrialStatus.CANCELLED]
    return sorted(ended, key=lambda one: (loss(one), one.number))


def _waiting(ranked: Sequence[Observation], successors: Sequence[Observation]) -> list[Observation]:
    """Those that have ended and have no successor yet, best first.

    Who went on is its successor's parent, with the same knobs. A copy does not tell whose place it took, and need not:
    as many of the worst as there are copies are done for.
    """
    went_on = {one.number for one in ranked for child in successors
               if child.parent == one.number and child.params == one.params}  # fmt: skip
    left = [one for one in ranked if one.number not in went_on]
    return left[: len(left) - (len(successors) - len(went_on))]


def _succession(
    knobs: Knobs,
    search: Search,
    member: Observation,
    ranked: Sequence[Observation],
    best: Sequence[Observation],
    random: Generator,
    spec: Mapping[str, Any] | None,
) -> tuple[int, dict[str, Any]]:
    """(the trial it goes on from, its knobs)"""
    cut = math.floor(knobs.quantile * len(ranked))
    if member in best and ranked.index(member) < len(ranked) - cut:
        return member.number, member.params
    model = best[int(random.integers(max(1, min(cut, len(best)))))]
    explored = itertools.islice(_explored(knobs, search, model.params, random, spec), TRIES)
    return model.number, _allowed(search, explored) or model.params


def _fresh(search: Search, spec: Mapping[str, Any] | None, random: Generator) -> dict[str, Any]:
    from webapp.sweeps.search import knobs, space

    draws = space.drawn(search.space, knobs.whole(spec, search.space), int(random.integers(2**32)))
    if (found := _allowed(search, itertools.islice(draws, TRIES))) is None:
        raise Exhausted("No point that meets the constraints was found: widen the space or the constraints.")
    return found


def _allowed(search: Search, points: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    from webapp.sweeps.search import space

    conditions = space.constraints(search)
    return next((point for point in points if all(one.holds(point) for one in conditions)), None)


def _explored(
    knobs: Knobs, search: Search, params: Mapping[str, Any], random: Generator, spec: Mapping[str, Any] | None
) -> Iterator[dict[str, Any]]:
    """Without end. What is drawn anew, and what begins to count by another choice, comes from the whole range."""
    from webapp.sweeps.search import dimensions, space
    from webapp.sweeps.search.knobs import whole

    integers = whole(spec, search.space)
    while True:
        point = {path: dimensions.placed(one, random.random(), path in integers) for path, one in search.space.items()}
        for path in sorted(search.space.keys() & params.keys()):
            if random.random() >= knobs.resample:
                factor = knobs.shrink if random.random() < 0.5 else knobs.grow
                point[path] = _moved(search.space[path], params[path], factor, path in integers)
        yield space.active(search.space, point)


def _moved(dimension: Dimension, value: Any, factor: float, is_whole: bool) -> Any:
    """A number times the factor, inside its range; of choices the one beside it, up where the factor is above 1."""
    from webapp.sweeps.definition import Choices
    from webapp.sweeps.search import dimensions

    if isinstance(dimension, Choices):
        place = dimension.choices.index(value) + (1 if factor > 1 else -1)
        return dimension.choices[min(max(place, 0), len(dimension.choices) - 1)]
    inside = min(max(value * factor, dimension.low), dimension.high)
    return dimensions.placed(dimension, dimensions.share(dimension, inside, is_whole), is_whole)
