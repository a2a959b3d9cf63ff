"""Listed: exactly these points, in the order given.

For what no product of values is: pairs that belong together, like a method with the learning rates and the number of
steps that are its own. The space says what each path may be; every point has a value for all that counts there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from webapp.sweeps.registry import Knobs as Base

if TYPE_CHECKING:
    from webapp.accounts.errors import FieldError
    from webapp.sweeps.definition import Search
    from webapp.sweeps.search.problem import Problem

DONE = "The list is done: all its points are tried"
MOST_TOLD = 5  # wrong points that are named at once


class Knobs(Base):
    name: Literal["listed"]
    points: list[dict[str, str | int | float | bool | None]] = Field(
        min_length=1, max_length=10_000, description='Like [{"method.name": "lora", "optimizer.lr": 1e-3}].'
    )


def listed(knobs: Knobs) -> Sequence[dict[str, Any]]:
    return knobs.points


def candidates(knobs: Knobs, problem: Problem, tried: int) -> Iterator[dict[str, Any]]:
    """Those that lie in the space, which may have been edited since."""
    found = (problem.fitting(point) for point in knobs.points)
    return (point for point in found if point is not None)


def check(search: Search, spec: Mapping[str, Any]) -> list[FieldError]:
    """The points that lie outside of the space, and those that are there twice."""
    from webapp.sweeps.search import space

    if space.check(search, spec):
        return []  # told already, and of a space that is wrong no point is right
    errors: list[FieldError] = []
    seen: dict[frozenset[tuple[str, Any]], int] = {}
    for place, point in enumerate(search.sampler.points):  # type: ignore[attr-defined]
        first = seen.setdefault(frozenset(point.items()), place)
        told = [f"The point is there twice: it is number {first + 1} already."] if first < place else []
        told += space.violations(search, point, spec)
        errors += [{"loc": ["search", "sampler", "points", place], "msg": sentence} for sentence in told]
        if len(errors) >= MOST_TOLD:
            break
    return errors
