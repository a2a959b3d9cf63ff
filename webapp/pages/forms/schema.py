"""Reading the JSON schema of a spec: references, empty values and unions, made plain for the form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """One property of a spec. `schema` has no `$ref` at its top and says nothing of null; `optional` does."""

    name: str
    schema: Json
    required: bool
    optional: bool  # null is allowed


@dataclass(frozen=True)
class Union:
    """One of several objects, told apart by the property `tag`; `options` maps its values to their schemas."""

    tag: str
    options: Mapping[str, Json]


def resolved(schema: Json, definitions: Json) -> Json:
    """`schema` with its own reference followed; what stands beside the reference wins."""
    merged = dict(schema)
    while "$ref" in merged or len(merged.get("allOf", ())) == 1:
        target = merged.pop("$ref", None)
        inner = definitions[target.rpartition("/")[2]] if target else merged.pop("allOf")[0]
        merged = {**inner, **merged}
    return merged


def parts(schema: Json, definitions: Json) -> Iterator[Part]:
    """The properties of an object, in the order in which they are declared, without constant ones."""
    required = schema.get("required", ())
    for name, property_ in schema.get("properties", {}).items():
        plain, optional = without_null(resolved(property_, definitions), definitions)
        if "const" not in plain:
            yield Part(name, plain, name in required, optional)


def is_object(schema: Json) -> bool:
    """Whether it has parts of its own, or is one of several that have."""
    return "discriminator" in schema or "properties" in schema


def without_null(schema: Json, definitions: Json) -> tuple[Json, bool]:
    """The schema of what is not null, and whether null is allowed."""
    options = schema.get("anyOf", ())
    rest = [option for option in options if option.get("type") != "null"]
    if len(rest) == len(options):
        return schema, False
    outer = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(rest) > 1:
        return {**outer, "anyOf": rest}, True
    return {**resolved(rest[0], definitions), **outer}, True


ASKED = "is_set"  # the tag of an object that may be left out: no property of a spec


def choice(part: Part, definitions: Json) -> Union | None:
    """What is chosen at a part of several objects, or whether a single one that may be left out is there."""
    found = union(part.schema, definitions)
    return Union(ASKED, {"yes": part.schema}) if found is None and part.optional else found


def union(schema: Json, definitions: Json) -> Union | None:
    """The union that `schema` is: several tagged objects, or a single one with a constant property."""
    discriminator = schema.get("discriminator")
    if discriminator and "mapping" in discriminator:
        options = {
            value: resolved({"$ref": reference}, definitions) for value, reference in discriminator["mapping"].items()
        }
        return Union(discriminator["propertyName"], options)
    for name, property_ in schema.get("properties", {}).items():
        if "const" in property_:
            return Union(name, {property_["const"]: schema})
    return None
