"""The space of a search: which knobs count at a point, what is wrong with a space, what is wrong with a point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from webapp.accounts.errors import FieldError, Invalid
from webapp.sweeps.definition import Choices, Dimension, Range, Search, Space
from webapp.sweeps.search import dimensions, expressions, knobs

Place: TypeAlias = list[str | int]
DRAWS = 2000  # points that are tried before constraints are said to leave none


def ordered(space: Space) -> list[str]:
    """Its paths, every one after those that its `when` names, else as given. In a cycle the rest is left out."""
    done: dict[str, None] = {}
    waiting = list(space)
    while ready := [path for path in waiting if all(parent in done for parent in (space[path].when or {}))]:
        done |= dict.fromkeys(ready)
        waiting = [path for path in waiting if path not in done]
    return list(done)


def is_active(dimension: Dimension, params: Mapping[str, Any]) -> bool:
    """Whether a dimension counts at a point; all that its `when` names must be active themselves."""
    if dimension.when is None:
        return True
    return all(parent in params and params[parent] in values for parent, values in dimension.when.items())


def active(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """What counts of a point that has a value for everything: a knob whose condition does not hold is dropped."""
    found: dict[str, Any] = {}
    for path in ordered(space):
        if path in params and is_active(space[path], found):
            found[path] = params[path]
    return found


def placed(space: Space, shares: Mapping[str, float], whole: frozenset[str]) -> dict[str, Any]:
    """The point at these shares in [0, 1) of its dimensions."""
    full = {path: dimensions.placed(one, shares[path], path in whole) for path, one in space.items()}
    return active(space, full)


def drawn(space: Space, whole: frozenset[str], seed: int) -> Iterator[dict[str, Any]]:
    """Independent random points, without end."""
    import numpy as np

    rng = np.random.default_rng(seed)
    while True:
        yield placed(space, dict(zip(space, rng.random(len(space)), strict=True)), whole)


def check(search: Search, spec: Mapping[str, Any]) -> list[FieldError]:
    """Everything wrong with a space and its constraints, before any of its points becomes a job spec."""
    errors = [error for path in search.space for error in _check_dimension(search.space, path, spec)]
    errors += _check_order(search.space)
    if not errors:
        errors += _check_constraints(search, knobs.whole(spec, search.space))
    return errors


def violations(search: Search, params: Mapping[str, Any], spec: Mapping[str, Any] | None = None) -> list[str]:
    """What is wrong with a point that somebody gives, in sentences. With `spec`, also numbers that must be whole."""
    space = search.space
    whole = knobs.whole(spec, space) if spec else frozenset()
    counting = active(space, params)
    found = [f"{path} is not in the space, which has {', '.join(space)}." for path in params if path not in space]
    found += [f"{path} does not count at this point: {_condition(space[path])}." for path in params
              if path in space and path not in counting]  # fmt: skip
    found += [f"{path} is missing: give it {_extent(space[path])}." for path in ordered(space)
              if path not in params and is_active(space[path], counting)]  # fmt: skip
    found += [f"{path} must be {_extent(space[path], path in whole)}, not {value!r}." for path, value
              in counting.items() if not dimensions.contains(space[path], value, path in whole)]  # fmt: skip
    if not found:
        found = [
            f"The point breaks the constraint {one.text!r}." for one in constraints(search) if not one.holds(params)
        ]
    return found


def constraints(search: Search) -> list[expressions.Expression]:
    """Raises Invalid, whose `loc` is that of the sweep's definition."""
    return [_compiled(search, index) for index in range(len(search.constraints))]


def _compiled(search: Search, index: int) -> expressions.Expression:
    try:
        return expressions.compile(search.constraints[index], search.space)
    except Invalid as error:
        raise Invalid(
            [{"loc": ["search", "constraints", index], "msg": item["msg"]} for item in error.errors]
        ) from None


def _check_dimension(space: Space, path: str, spec: Mapping[str, Any]) -> Iterator[FieldError]:
    one = space[path]
    place: Place = ["search", "space", path]
    if not all(path.split(".")):
        yield _error(place, f"{path!r} is not a path: write it like optimizer.lr.")
    if path == "seed":
        yield _error(place, "seed is set by the sweep's seeds: remove it from the space.")
    if inside := [other for other in space if path.startswith(f"{other}.")]:
        yield _error(place, f"{path} lies inside {inside[0]}: search one of them.")
    if isinstance(one, Choices):
        yield from _check_choices(one, place)
    elif path in knobs.whole(spec, {path: one}):
        yield from _check_whole(one, place)
    for parent, values in (one.when or {}).items():
        yield from _check_condition(space, parent, values, [*place, "when", parent])


def _check_choices(one: Choices, place: Place) -> Iterator[FieldError]:
    twice = [choice for index, choice in enumerate(one.choices) if choice in one.choices[:index]]
    if twice:
        yield _error([*place, "choices"], f"{twice[0]!r} is there twice (or equals another choice).")


def _check_whole(one: Range, place: Place) -> Iterator[FieldError]:
    for name in ("low", "high", "step"):
        number = getattr(one, name)
        if number is not None and not float(number).is_integer():
            yield _error([*place, name], f"{name} must be a whole number, as the knob is: {number:g} is not.")


def _check_condition(space: Space, parent: str, values: list[Any], place: Place) -> Iterator[FieldError]:
    if parent not in space:
        yield _error(place, f"{parent} is not in the space, which has {', '.join(space)}.")
        return
    if not values:
        yield _error(place, f"Name at least one value of {parent}, or this knob never counts.")
    for value in values:
        if not dimensions.contains(space[parent], value, False):
            yield _error(place, f"{parent} is never {value!r}: it is {_extent(space[parent])}.")


def _check_order(space: Space) -> list[FieldError]:
    """Unknown parents are told already; what is left out of the order beside them lies in a cycle."""
    if any(parent not in space for one in space.values() for parent in one.when or {}):
        return []
    circle = [path for path in space if path not in ordered(space)]
    msg = f"{', '.join(circle)} wait for each other: remove one of their conditions."
    return [_error(["search", "space", circle[0], "when"], msg)] if circle else []


def _check_constraints(search: Search, whole: frozenset[str]) -> list[FieldError]:
    try:
        conditions = constraints(search)
    except Invalid as error:
        return error.errors
    draws = drawn(search.space, whole, search.seed)
    points = [next(draws) for _ in range(DRAWS if conditions else 0)]
    for index, one in enumerate(conditions):
        if not any(one.holds(point) for point in points):
            return [_error(["search", "constraints", index], _never(one, points))]
    if conditions and not any(all(one.holds(point) for one in conditions) for point in points):
        return [
            _error(["search", "constraints"], f"None of {DRAWS:,} random points meets all constraints: widen them.")
        ]
    return []


def _never(one: expressions.Expression, points: list[dict[str, Any]]) -> str:
    try:
        one.value(next(point for point in points if all(path in point for path in one.paths.values())))
    except expressions.CANNOT as error:
        return f"{one.text!r} can't be computed: {error}."
    return f"None of {DRAWS:,} random points meets {one.text!r}: widen it, or the space."


def _error(place: Place, msg: str) -> FieldError:
    return {"loc": place, "msg": msg}


def _condition(one: Dimension) -> str:
    rules = [f"{parent} is {' or '.join(map(repr, values))}" for parent, values in (one.when or {}).items()]
    return f"it does only where {' and '.join(rules)}"


def _extent(one: Dimension, is_whole: bool = False) -> str:
    if isinstance(one, Choices):
        return " or ".join(repr(choice) for choice in one.choices[:20]) + (" or ..." if len(one.choices) > 20 else "")
    kind = "a whole number" if is_whole else "a number"
    step = f" in steps of {one.step:g}" if one.step else ""
    return f"{kind} from {one.low:g} to {one.high:g}{step}"
