"""A search space to begin with, from what the knobs of a spec declare: bounds, logarithm, choices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from webapp.sweeps.search import knobs
from webapp.sweeps.search.knobs import Schema

SAME_RESULT = {"seed", "steps", "accumulation"}  # seeds are replicates, steps the cost, accumulation changes nothing
FACTOR = {"number": 10.0, "integer": 4.0}  # a range reaches so far below and above the value in the spec
WIDEST = 1.0  # a share, like dropout: its bounds are a range by themselves


def suggested(spec: Mapping[str, Any], advanced: bool = False) -> dict[str, dict[str, Any]]:
    """{path: a dimension as JSON} for the methods and the optimization knobs of a spec; {} where there is no such kind.

    Where there are several methods, `method.name` is a choice and the knobs of each count only under it. Ranges lie
    around the spec's own value or the default: a factor 10 for numbers, 4 for whole ones, within the bounds. A knob
    whose scale can't be told (0 of at most a million) is left out. With `advanced`, knobs that the form hides, too.
    """
    found: dict[str, dict[str, Any]] = {}
    for path, schema in knobs.fields(spec):
        if not (schema.get("group") in ("Method", "Optimization") and path not in SAME_RESULT):
            continue
        given = spec.get(path)
        shapes = knobs.shapes(spec, path)
        if shapes:
            found |= _of_methods(path, shapes, given if isinstance(given, Mapping) else schema.get("default"), advanced)
        elif (advanced or not schema.get("advanced")) and (one := _dimension(schema, given)):
            found[path] = one
    return found


def _of_methods(path: str, shapes: Mapping[str, Schema], given: Any, advanced: bool) -> dict[str, dict[str, Any]]:
    given = given if isinstance(given, Mapping) else {}
    found: dict[str, dict[str, Any]] = {}
    if len(shapes) > 1:
        found[f"{path}.name"] = {"choices": sorted(shapes, key=lambda name: (name != given.get("name"), name))}
    for name, key, schema in _knobs(shapes, advanced):
        inner = f"{path}.{key}"
        if one := found.get(inner) or _dimension(schema, given.get(key)):
            when = one.get("when", {f"{path}.name": []})
            when[f"{path}.name"].append(name)
            found[inner] = {**one, "when": when} if len(shapes) > 1 else one
    return found


def _knobs(shapes: Mapping[str, Schema], advanced: bool) -> Iterator[tuple[str, str, Schema]]:
    for name, shape in shapes.items():
        for key, schema in shape.get("properties", {}).items():
            if "const" not in schema and (advanced or not schema.get("advanced")):
                yield name, key, schema


def _dimension(schema: Schema, given: Any) -> dict[str, Any] | None:
    """None where the schema does not say enough."""
    choices = [choice for item in [schema, *schema.get("anyOf", [])] for choice in item.get("enum", [])]
    if choices:
        return {"choices": choices}
    kind = schema.get("type")
    if kind == "boolean":
        return {"choices": [False, True]}
    value = given if isinstance(given, int | float) else schema.get("default")
    return _range(schema, kind, value) if kind in FACTOR and isinstance(value, int | float) else None


def _range(schema: Schema, kind: str, value: float) -> dict[str, Any] | None:
    least: float = schema.get("minimum") or schema.get("exclusiveMinimum") or 0.0
    most: float = schema.get("maximum") or schema.get("exclusiveMaximum") or math.inf
    if most - least <= WIDEST and kind == "number" and not schema.get("log"):
        low = least if "minimum" in schema else (least + value) / 2  # a bound that is excluded
        return {"low": low, "high": most if "maximum" in schema else (value + most) / 2}
    if value <= 0:
        return None
    low, high = max(least, value / FACTOR[kind]), min(most, value * FACTOR[kind])
    if kind == "integer":
        low, high = max(1, round(low)), round(high)
    return {"low": float(f"{low:.6g}"), "high": float(f"{high:.6g}"), "log": True} if low < high else None
