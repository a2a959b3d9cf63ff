"""What the job spec's schema says of the knob at a path: its type, bounds and choices."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from gpu_jobs import spec as specs
from webapp.sweeps.definition import Choices, Range, Space

Schema: TypeAlias = dict[str, Any]


def at(spec: Mapping[str, Any], path: str, space: Space | None = None) -> list[Schema]:
    """The schemas of the value at a path, one per shape that has it; [] for a path that no spec of this kind has.

    Where a choice decides the shape (`method.name`), it is that of the space if it is there, else the spec's own.
    """
    root = _schema(str(spec.get("kind")))
    return list(_walk(root, root, path.split("."), "", spec, space or {})) if root else []


def whole(spec: Mapping[str, Any] | None, space: Space) -> frozenset[str]:
    """The ranges that are of whole numbers.

    The knob's type decides: 0 to 1 of a dropout is continuous. Where no schema tells it, a range is whole when both
    bounds and the step, if any, are: 2 to 32 is, 1e-4 to 1 is not.
    """
    return frozenset(
        path for path, one in space.items() if isinstance(one, Range) and _is_whole(spec or {}, path, one, space)
    )


def types(schema: Schema) -> set[str]:
    """The JSON types that a value may have."""
    if "type" in schema:
        return {schema["type"]}
    return {name for item in schema.get("anyOf", []) for name in types(item)}


def fields(spec: Mapping[str, Any]) -> Iterator[tuple[str, Schema]]:
    """(name, schema) of what a spec of this kind has at its top."""
    root = _schema(str(spec.get("kind")))
    yield from root.get("properties", {}).items()


def shapes(spec: Mapping[str, Any], field: str) -> dict[str, Schema]:
    """{name: schema} of the methods that a field may name; {} for a field of any other sort."""
    root = _schema(str(spec.get("kind")))
    schema = root["properties"][field]
    if (discriminator := schema.get("discriminator", {})).get("propertyName") == "name":
        return {name: _resolved(root, {"$ref": one}) for name, one in discriminator["mapping"].items()}
    only = _resolved(root, schema)
    name = only.get("properties", {}).get("name", {}).get("const")
    return {name: only} if name else {}


def _resolved(root: Schema, schema: Schema) -> Schema:
    reference = schema.get("$ref")
    return root["$defs"][reference.rpartition("/")[2]] if reference else schema


@functools.cache
def _schema(kind: str) -> Schema:
    try:
        return specs.schema(kind)
    except KeyError:
        return {}


def _is_whole(spec: Mapping[str, Any], path: str, one: Range, space: Space) -> bool:
    found = {name for schema in at(spec, path, space) for name in types(schema)} - {"null"}
    if found:
        return found == {"integer"}
    return all(number.is_integer() for number in (one.low, one.high, one.step or 1.0))


def _walk(root: Schema, schema: Schema, parts: list[str], prefix: str, value: Any, space: Space) -> Iterator[Schema]:
    schema = _resolved(root, schema)
    if not parts:
        yield schema
        return
    for shape in _shapes(root, schema, prefix, value, space):
        if parts[0] in shape.get("properties", {}):
            inner = value.get(parts[0]) if isinstance(value, Mapping) else None
            deeper = f"{prefix}{parts[0]}."
            yield from _walk(root, shape["properties"][parts[0]], parts[1:], deeper, inner, space)


def _shapes(root: Schema, schema: Schema, prefix: str, value: Any, space: Space) -> Iterator[Schema]:
    if "discriminator" in schema:
        yield from _chosen(root, schema, prefix, value, space)
        return
    yield schema
    for item in schema.get("anyOf", []):
        yield from _shapes(root, _resolved(root, item), prefix, value, space)


def _chosen(root: Schema, schema: Schema, prefix: str, value: Any, space: Space) -> Iterator[Schema]:
    """The shapes that the choice allows; all of them when nothing chooses."""
    key, mapping = schema["discriminator"]["propertyName"], schema["discriminator"]["mapping"]
    searched = space.get(f"{prefix}{key}")
    given = value if isinstance(value, Mapping) else schema.get("default") or {}
    names = searched.choices if isinstance(searched, Choices) else [given.get(key)]
    chosen = [mapping[name] for name in names if isinstance(name, str) and name in mapping]
    for reference in chosen or mapping.values():
        yield _resolved(root, {"$ref": reference})
