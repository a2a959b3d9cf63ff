"""A search space to begin with, from what the knobs of a spec declare: bounds, logarithm, choices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from webapp.sweeps.search import knobs
from webapp.sweeps.search.knobs import Schema

SAME_RESULT = {"seed", "steps", "accumulation"}  # seeds are replicates, steps the cost, accumulation changes nothing
FACTOR = {"number": 10.0, "integer": 4.0}  # a range reaches so far below and above the value in the spec
WIDEST = 1.0  # a share, like dropout: its bounds are a range by themselves


def suggested(spec: Mapping[str, Any], advanced: bool = False) -> dict[str, dict[str, Any]]:
    """{path: a dimension as JSON} for the methods and the optimization knobs of a spec; {} where there is no such kind.

    Of each family only the knobs of the method that the spec names, or takes by default: a search over methods, of
    which there are a hundred, is a study of its own (protocol method_comparison). Ranges lie around the spec's own
    value or the default: a factor 10 for numbers, 4 for whole ones, within the bounds. A knob whose scale can't be told
    (0 of at most a million) is left out. With `advanced`, knobs that the form hides, too.
    """
    found: dict[str, dict[str, Any]] = {}
    for path, schema in knobs.fields(spec):
        if not (schema.get("group") in ("Method", "Optimization") and path not in SAME_RESULT):
            continue
        given = spec.get(path)
        shapes = knobs.shapes(spec, path)
        if shapes:
            found |= _of_method(path, shapes, given if isinstance(given, Mapping) else schema.get("default"), advanced)
        elif (advanced or not schema.get("advanced")) and (one := _dimension(schema, given)):
            found[path] = one
    return found


def choices_of_methods(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """{"method.name": the choice of all methods, the spec's own first}, and so for each family that a spec names."""
    found: dict[str, dict[str, Any]] = {}
    for path, schema in knobs.fields(spec):
        shapes = knobs.shapes(spec, path) if schema.get("group") in ("Method", "Optimization") else {}
        if len(shapes) > 1:
            own = own_method(spec, path)
            found[f"{path}.name"] = {"choices": sorted(shapes, key=lambda name: (name != own, name))}
    return found


def own_method(spec: Mapping[str, Any], path: str) -> str:
    """The method that a spec names in a field, or takes by default; "" where neither."""
    given = spec.get(path) or dict(knobs.fields(spec)).get(path, {}).get("default") or {}
    return str(given.get("name", "")) if isinstance(given, Mapping) else ""


def _of_method(path: str, shapes: Mapping[str, Schema], given: Any, advanced: bool) -> dict[str, dict[str, Any]]:
    given = given if isinstance(given, Mapping) else {}
    shape = shapes.get(str(given.get("name")), {})
    shown = {
        key: schema
        for key, schema in shape.get("properties", {}).items()
        if "const" not in schema and (advanced or not schema.get("advanced"))
    }
    named = {f"{path}.{key}": _dimension(schema, given.get(key)) for key, schema in shown.items()}
    return {name: one for name, one in named.items() if one}


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
    if step := schema.get("multipleOf"):
        low, high = math.ceil(low / step) * step, high // step * step
        return {"low": low, "high": high, "step": step} if low < high else None
    return {"low": float(f"{low:.6g}"), "high": float(f"{high:.6g}"), "log": True} if low < high else None
