"""Grid: every combination of the values, one after the other.

The order is that of the space, its last knob fastest, and only branches that count are walked: a rank is not varied
under a method that has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from webapp.sweeps.registry import Knobs as Base

if TYPE_CHECKING:
    from webapp.accounts.errors import FieldError
    from webapp.sweeps.definition import Search
    from webapp.sweeps.search.problem import Problem

DONE = "The grid is done: all its points are tried"


class Knobs(Base):
    name: Literal["grid"]
    points: int | None = Field(
        None, ge=1, le=10_000, description="Values of a range without a step that has more; evenly, or in logarithm."
    )


def candidates(knobs: Knobs, problem: Problem, tried: int) -> Iterator[dict[str, Any]]:
    return problem.listed(knobs.points)


def check(search: Search, spec: Mapping[str, Any]) -> list[FieldError]:
    from webapp.sweeps.search import dimensions, knobs

    whole = knobs.whole(spec, search.space)
    endless = [path for path, one in search.space.items() if math.isinf(dimensions.size(one, path in whole))]
    if not endless or getattr(search.sampler, "points", None) is not None:
        return []
    msg = f"A grid needs a list of values: set points, or give {', '.join(endless)} a step."
    return [{"loc": ["search", "sampler", "points"], "msg": msg}]
