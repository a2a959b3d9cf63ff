"""`ask`: a pure function from what has been tried to the next points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from webapp.sweeps.definition import Objective, Search
from webapp.sweeps.states import TrialStatus


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


def ask(search: Search, objectives: Sequence[Objective], history: Sequence[Observation], count: int = 1) -> list[Point]:
    """Up to `count` points, which meet the constraints. Raises Exhausted when there is none, ever."""
    raise NotImplementedError
