"""Curves to stop: by hand, and families of simulated training curves whose final values are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webapp.sweeps.curves import Curve

Floats = NDArray[np.float64]
LAST = 1000


def curve(
    number: int, values: Sequence[float] | Floats, steps: Any = None, last_step: int = LAST, **more: Any
) -> Curve:
    """`values` at steps 10, 20, ...; training goes on unless told otherwise."""
    steps = np.arange(1, len(values) + 1) * 10 if steps is None else np.asarray(steps)
    fields = {"is_over": False, "is_complete": False, **more}
    return Curve(number, steps.astype(np.int64), np.asarray(values, dtype=float), last_step, **fields)


def ended(number: int, values: Sequence[float] | Floats, steps: Any = None, last_step: int = LAST) -> Curve:
    return curve(number, values, steps, last_step, is_over=True, is_complete=True)


def power(random: np.random.Generator, time: Floats, count: int) -> Floats:
    """a + b ((t + c) / c)^-d: the model has this family."""
    a, b, c, d = (random.uniform(*bounds, (count, 1)) for bounds in ((0.5, 3), (0.5, 4), (0.001, 0.05), (0.2, 0.9)))
    return a + b * ((time + c) / c) ** -d


def annealed(random: np.random.Generator, time: Floats, count: int) -> Floats:
    """A power law that falls faster at the end, as under a cosine schedule: the model does not have it."""
    extra = random.uniform(0.05, 0.3, (count, 1))
    return power(random, time, count) - extra * time**3 * (1 + 0.3 * np.sin(3 * time))


def stretched(random: np.random.Generator, time: Floats, count: int) -> Floats:
    """a + b exp(-(k t)^q): the model does not have it."""
    a, b, k, q = (random.uniform(*bounds, (count, 1)) for bounds in ((0.5, 3), (0.5, 4), (1, 5), (0.4, 0.9)))
    return a + b * np.exp(-((k * time) ** q))


def falls_late(random: np.random.Generator, time: Floats, count: int) -> Floats:
    """A logistic drop somewhere in the first half: early values tell next to nothing."""
    a, b, at, width = (
        random.uniform(*bounds, (count, 1)) for bounds in ((0.2, 1.5), (1, 3), (0.15, 0.4), (0.05, 0.12))
    )
    return a + b / (1 + np.exp((time - at) / width))


FAMILIES: dict[str, Callable[[np.random.Generator, Floats, int], Floats]] = {
    "power": power,
    "annealed": annealed,
    "stretched": stretched,
    "falls late": falls_late,
}


def simulated(
    family: str, count: int, points: int, seed: int, *, noise: float = 0.03
) -> tuple[NDArray[np.int64], Floats]:
    """(steps (points,), values (count, points)) with noise of which half carries over from point to point."""
    random = np.random.default_rng(seed)
    steps = np.linspace(LAST / points, LAST, points).round().astype(np.int64)
    values = FAMILIES[family](random, steps / LAST, count)
    error = random.normal(0, noise, values.shape)
    for place in range(1, points):
        error[:, place] = 0.5 * error[:, place - 1] + np.sqrt(0.75) * error[:, place]
    return steps, values + error
