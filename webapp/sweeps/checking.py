"""Checks a sweep before anything of it is written: its own shape, its space, and the specs that it would queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from gpu_jobs.spec import references
from webapp.accounts.errors import FieldError, Invalid
from webapp.accounts.models import Project, User
from webapp.runs import plain
from webapp.runs import specs as run_specs
from webapp.runs.actions.inputs import resolve
from webapp.sweeps.definition import Choices, Definition, Dimension, Range
from webapp.sweeps.registry import entry_of
from webapp.sweeps.specs import spec_of

EXTERNAL = "A sweep queues training runs; points of kind external come from outside: log them as runs."


def checked(definition: Mapping[str, Any], user: User | None = None, project: Project | None = None) -> Definition:
    """The parsed definition, its base spec with the defaults filled in (so that `optimizer.lr` finds its optimizer).

    Raises Invalid with every broken rule; with a user or a project, also for what its runs can't read.
    """
    parsed = _filled(_parsed(definition))
    errors = [*_own(parsed), *_space(parsed)]
    if not errors:
        errors = _specs(parsed, user, project)
    if errors:
        raise Invalid(errors)
    return parsed


def examples(definition: Definition) -> Iterator[dict[str, Any]]:
    """Points that together use every bound and every choice: one dimension at a time away from the first point. A
    sampler's own list, whole, where it has one."""
    from webapp.sweeps.search.space import active

    if points := listed(definition):
        yield from points
        return
    space = definition.search.space
    first = {path: _values(dimension)[0] for path, dimension in space.items()}
    yield active(space, first)
    for path, dimension in space.items():
        for value in _values(dimension)[1:]:
            yield active(space, _where_active(space, {**first, path: value}, path))


def listed(definition: Definition) -> list[dict[str, Any]]:
    """The points of a sampler that has a list of its own; of others none."""
    found = getattr(_sampler_module(definition), "listed", None)
    return list(found(definition.search.sampler)) if found else []


def _parsed(definition: Mapping[str, Any]) -> Definition:
    try:
        return Definition.model_validate(definition)
    except ValidationError as error:
        raise Invalid(run_specs.errors_of(error, definition)) from None


def _filled(definition: Definition) -> Definition:
    """A base that is valid only with a point's values stays as it is; its points tell what is wrong."""
    spec = definition.spec | ({"checkpoint_at_end": True} if _goes_on(definition) else {})
    with suppress(Invalid):
        spec = run_specs.checked(plain.json(spec)).model_dump(mode="json")
    return definition.model_copy(update={"spec": spec})


def _goes_on(definition: Definition) -> bool:
    """Whether points go on from the checkpoints of others."""
    return getattr(_sampler_module(definition), "GOES_ON", False)


def _own(definition: Definition) -> list[FieldError]:
    errors: list[FieldError] = []
    several = len(definition.objective) > 1
    if several and definition.stopper is not None:
        errors.append({"loc": ["stopper"], "msg": "A stopper needs one objective: leave it out, or drop objectives."})
    if several and definition.seeds.racing:
        errors.append(
            {"loc": ["seeds", "racing"], "msg": "Racing needs one objective: turn it off, or drop objectives."}
        )
    if definition.seeds.racing and definition.seeds.racing_from > definition.seeds.tune:
        msg = f"racing_from must not exceed tune: {definition.seeds.racing_from} > {definition.seeds.tune}."
        errors.append({"loc": ["seeds", "racing_from"], "msg": msg})
    if definition.seeds.test and _goes_on(definition):
        msg = "Test seeds would train the winner's last knobs from scratch, not as its population did: set test to 0."
        errors.append({"loc": ["seeds", "test"], "msg": msg})
    if definition.spec.get("kind") == "external":
        errors.append({"loc": ["spec", "kind"], "msg": EXTERNAL})
    if definition.seeds.test and not all(one.metric.startswith("eval/") for one in definition.objective):
        msg = "Test seeds report an eval/ metric on the test split: choose such an objective, or set test to 0."
        errors.append({"loc": ["seeds", "test"], "msg": msg})
    return [*errors, *_test_each(definition)]


def _test_each(definition: Definition) -> list[FieldError]:
    path, space = definition.seeds.test_each, definition.search.space
    if path is None or (isinstance(each := space.get(path), Choices) and each.when is None):
        return []
    lists = [name for name, one in space.items() if isinstance(one, Choices) and one.when is None]
    msg = f"test_each must be a list of choices that always counts: {path!r} is none of {', '.join(lists) or 'none'}."
    return [{"loc": ["seeds", "test_each"], "msg": msg}]


def _space(definition: Definition) -> list[FieldError]:
    from webapp.sweeps.search import space

    found = list(space.check(definition.search, definition.spec))
    check = getattr(_sampler_module(definition), "check", None)
    return [*found, *(check(definition.search, definition.spec) if check else [])]


def _sampler_module(definition: Definition) -> Any:
    return entry_of(definition.search.sampler).module


def _specs(definition: Definition, user: User | None, project: Project | None) -> list[FieldError]:
    """What is wrong with the specs of the example points, each sentence once."""
    found: dict[tuple[str, str], FieldError] = {}
    for params in examples(definition):
        for error in _errors_at(definition, params, user, project):
            place = _placed(error, definition)
            found.setdefault((str(place["loc"]), place["msg"]), place)
    return list(found.values())


def _errors_at(
    definition: Definition, params: dict[str, Any], user: User | None, project: Project | None
) -> list[FieldError]:
    spec = plain.json(spec_of(definition, params, definition.seeds.first))
    try:
        parsed = run_specs.checked(spec)
    except Invalid as error:
        return [{"loc": ["spec", *item["loc"]], "msg": item["msg"]} for item in error.errors]
    errors: list[FieldError] = []
    if user is not None or project is not None:
        for reference in references(parsed):
            resolve(errors, spec, reference, user, project)
    return errors


def _placed(error: FieldError, definition: Definition) -> FieldError:
    """At the dimension when it is one that set the value."""
    path = ".".join(str(step) for step in error["loc"][1:])
    return {**error, "loc": ["search", "space", path]} if path in definition.search.space else error


def _values(dimension: Dimension) -> list[Any]:
    if isinstance(dimension, Choices):
        return list(dimension.choices)
    return [_whole(dimension.low, dimension), _whole(dimension.high, dimension)]


def _whole(value: float, dimension: Range) -> float | int:
    whole = dimension.low.is_integer() and dimension.high.is_integer()
    return int(value) if whole and float(dimension.step or 1).is_integer() else value


def _where_active(space: Mapping[str, Dimension], params: dict[str, Any], path: str) -> dict[str, Any]:
    """The point moved to where a dimension counts: each condition on the way gets its first value."""
    for parent, values in (space[path].when or {}).items():
        if parent in space:
            params = _where_active(space, {**params, parent: values[0]}, parent)
    return params
