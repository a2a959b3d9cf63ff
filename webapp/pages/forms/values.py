"""Values of a spec as text in a form, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from django.http import QueryDict

from webapp.accounts.errors import Invalid
from webapp.api.errors import Invalid as ApiInvalid
from webapp.api.wire import refuse_unstorable
from webapp.pages.forms.schema import ASKED, Json, Part, choice, is_object, parts

WORDS = {"true": True, "false": False}


def widget_of(schema: Json) -> str:
    """Which control a plain value gets."""
    if "enum" in schema:
        return "select"
    if schema.get("type") == "array" and _is_object(schema.get("items", {})):
        return "json"
    if "anyOf" in schema or schema.get("type") == "array":
        return "list"
    return {"boolean": "switch", "integer": "number", "number": "number", "object": "json"}.get(
        str(schema.get("type")), "text"
    )


def _is_object(item: Json) -> bool:
    """Whether the items of a list are objects: told here, of a class of their own, or one of several."""
    return item.get("type") == "object" or "$ref" in item or "discriminator" in item


def written(value: object) -> str:
    """A value as one would type it: 1e-05 is 1e-5, a list is comma-separated, None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list) and not any(isinstance(item, Mapping | list) for item in value):
        return ", ".join(map(written, value))
    return json.dumps(value) if isinstance(value, Mapping | list) else str(value)


def _number(value: float) -> str:
    mantissa, e, exponent = repr(value).removesuffix(".0").partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def read(schema: Json, data: QueryDict) -> dict[str, Any]:
    """The spec that a submitted form says. Text that is no number stays text, so that the spec's own check names it;
    an empty field is left out, so that its default holds."""
    return {**_constants(schema), **_object(schema, schema.get("$defs", {}), data, ())}


def storable(values: object) -> None:
    """Raises Invalid, with the API's sentence, for text that Postgres can't hold."""
    try:
        refuse_unstorable(values, ("spec",))
    except ApiInvalid as error:
        raise Invalid(error.errors) from None  # type: ignore[arg-type]


def _constants(schema: Json) -> dict[str, Any]:
    return {name: item["const"] for name, item in schema.get("properties", {}).items() if "const" in item}


def _object(schema: Json, definitions: Json, data: QueryDict, path: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for part in parts(schema, definitions):
        inner = (*path, part.name)
        if is_object(part.schema):
            block = _block(part, definitions, data, inner)
            if block is not None:
                values[part.name] = block
        elif (value := _value(part, data.getlist(".".join(inner)))) is not None:
            values[part.name] = value
    return values


def _block(part: Part, definitions: Json, data: QueryDict, path: tuple[str, ...]) -> dict[str, Any] | None:
    there = choice(part, definitions)
    if there is None:
        return _object(part.schema, definitions, data, path)
    given = data.get(".".join((*path, there.tag)), "")
    if part.optional and given not in there.options:
        return None
    tag = given if given in there.options else _usual(part, there.tag, list(there.options))
    values = _object(there.options[tag], definitions, data, path)
    return values if there.tag == ASKED else {there.tag: tag, **values}


def _usual(part: Part, tag: str, options: list[str]) -> str:
    default = part.schema.get("default")
    return str(default.get(tag, options[0])) if isinstance(default, Mapping) else options[0]


def _value(part: Part, texts: list[str]) -> object:
    """None where nothing was typed. A switch sends "false" and, when on, "true" after it: the last one counts."""
    text = texts[-1].strip() if texts else ""
    if not text:
        return None
    match widget_of(part.schema):
        case "switch":
            return WORDS.get(text, text)
        case "number":
            return _as_number(text, whole=part.schema["type"] == "integer")
        case "list":
            return _as_list(text, part.schema)
        case "json":
            return _as_json(text)
    return text


def _as_number(text: str, *, whole: bool) -> int | float | str:
    plain = text.replace(",", "").replace("_", "").replace(" ", "")
    try:
        number = float(plain)
        if not math.isfinite(number):
            return text
        return int(plain) if plain.lstrip("+-").isdigit() else int(number) if whole and number.is_integer() else number
    except (ValueError, OverflowError):
        return text


def _as_list(text: str, schema: Json) -> object:
    options = schema.get("anyOf", ())
    single = next((option for option in options if option.get("type") == "string"), None)
    if single is not None and ("enum" not in single or text in single["enum"]) and "," not in text:
        return text
    return [item.strip() for item in text.split(",") if item.strip()]


def _as_json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
