"""What a sampler is told of the trials: what is open, what came out, and how bad the bad ones are."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from webapp.sweeps.definition import Objective, signs
from webapp.sweeps.states import BAD, OPEN, TrialStatus

if TYPE_CHECKING:
    from webapp.sweeps.search.asking import Observation

SUCCEEDED, STOPPED = TrialStatus.SUCCEEDED, TrialStatus.STOPPED
MARGIN = 0.1  # of the spread of what was seen: a failure is that much worse than the worst


class Outcome(NamedTuple):
    """Less is better. `losses` is None while the trial is open."""

    number: int
    params: dict[str, Any]
    losses: tuple[float, ...] | None


def outcomes(objectives: Sequence[Objective], history: Sequence[Observation]) -> list[Outcome]:
    """By the order of history. Cancelled trials are left out, as are those without a value that did not fail.

    Out of memory, diverged and failed trials, and values that are not finite, are a little worse than the worst value
    seen: the sampler learns to stay away, and a model of the values is not bent by them. A trial that was stopped
    early counts with its last value: of Optuna's samplers only TPE would read pruned trials, and since a stopped
    trial had further to fall, its value errs to the bad side.
    """
    turned = signs(objectives)
    found = list(_measured(turned, history))
    penalty = _penalty([one.losses for one in found if one.losses], len(turned))
    return [one._replace(losses=penalty) if one.losses == () else one for one in found]


def _measured(turned: Sequence[float], history: Sequence[Observation]) -> Iterator[Outcome]:
    """With losses () where the result is a bad one."""
    for one in history:
        if one.status == SUCCEEDED or one.status == STOPPED:
            if one.values and len(one.values) == len(turned):
                yield Outcome(one.number, one.params, _losses(turned, one.values))
        elif one.status in OPEN:
            yield Outcome(one.number, one.params, None)
        elif one.status in BAD:
            yield Outcome(one.number, one.params, ())


def _losses(turned: Sequence[float], values: Sequence[float | None]) -> tuple[float, ...]:
    try:
        losses = tuple(map(operator.mul, turned, values))
    except TypeError:  # a value is None
        return ()
    return losses if all(map(math.isfinite, losses)) else ()


def _penalty(losses: Sequence[tuple[float, ...]], objectives: int) -> tuple[float, ...]:
    if not losses:
        return (0.0,) * objectives
    columns = [(max(column), min(column)) for column in zip(*losses, strict=True)]
    return tuple(
        min(worst + MARGIN * ((worst - best) or max(abs(worst), 1.0)), sys.float_info.max) for worst, best in columns
    )


def recalled(found: Sequence[Outcome], most: int | None, best: int = 0) -> list[Outcome]:
    """At most so many closed trials, and all open ones: the `best` best, and the others thinned evenly.

    A density of bad points is estimated as well from every fifth of 5,000, and in a fifth of the time.
    """
    closed = [one for one in found if one.losses is not None]
    if most is None or len(closed) <= most:
        return list(found)
    places = _best(np.array([one.losses for one in closed]), best)
    rest = np.setdiff1d(np.arange(len(closed)), places)
    spread = rest[np.linspace(0, len(rest) - 1, most - len(places)).astype(int)]
    kept = {closed[place].number for place in [*places, *spread]}
    return [one for one in found if one.losses is None or one.number in kept]


def _best(losses: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """(<= count,) places of the least losses (n, 1); with several objectives (n, k) of those that nobody dominates."""
    if losses.shape[1] == 1:
        order: NDArray[np.intp] = np.argsort(losses[:, 0], kind="stable")
        return order[:count]
    order = np.lexsort(losses.T[::-1])
    front: list[int] = []
    for place in order:  # whoever dominates a point comes before it
        others = losses[front]
        if not ((others <= losses[place]).all(axis=1) & (others < losses[place]).any(axis=1)).any():
            front.append(int(place))
    every = np.linspace(0, len(front) - 1, min(count, len(front))).astype(int)
    chosen: NDArray[np.intp] = np.array(front, np.intp)[every]
    return chosen
