"""JSON in and out: what Postgres or JSON can't hold is refused on the way in and spelled as a string on the way out."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from ninja.parser import Parser
from ninja.renderers import JSONRenderer

from webapp.api.errors import BadRequest, Invalid

DEEPEST = 64  # levels of nesting; keeps every walk far from Python's recursion limit


class StrictParser(Parser):
    """Like ninja's, but says what is wrong, and refuses text that Postgres can't store (NUL, lone surrogates)."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        return cast(dict[str, Any], loads(request.body))

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        values = super().parse_querydict(data, list_fields, request)
        refuse_unstorable(values)
        return values


def loads(body: bytes) -> Any:
    """The JSON of a body. Raises BadRequest and Invalid."""
    try:
        data = json.loads(body)
    except RecursionError:
        raise too_deep() from None
    except UnicodeDecodeError:
        raise BadRequest("The request body must be UTF-8.") from None
    except ValueError as error:
        raise BadRequest(f"The request body is not JSON: {error}.") from None
    if body.count(b"[") + body.count(b"{") > DEEPEST and is_deeper_than(data, DEEPEST):
        raise too_deep()
    if b"\\u" in body:  # only an escape can smuggle in a NUL or a lone surrogate
        refuse_unstorable(data)
    return data


class Renderer(JSONRenderer):
    """NaN and the infinities leave as "NaN", "Infinity" and "-Infinity"."""

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> str:
        return dumps(data)


def dumps(data: Any) -> str:
    """Valid JSON of any data; the pre-pass is paid for only when a number needs it."""
    try:
        return json.dumps(data, cls=Renderer.encoder_class, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(spell_out(data), cls=Renderer.encoder_class, allow_nan=False, separators=(",", ":"))


def spell_out(value: Any) -> Any:
    """A copy in which every float that JSON can't hold is its name."""
    if isinstance(value, float):
        return value if math.isfinite(value) else name_of(value)
    if isinstance(value, dict):
        return {key: spell_out(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [spell_out(item) for item in value]
    return value


def name_of(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def too_deep() -> BadRequest:
    return BadRequest(f"The request body is nested deeper than {DEEPEST} levels.")


def is_deeper_than(value: Any, levels: int) -> bool:
    """Walks level by level, so the depth of the data is not the depth of the stack."""
    layer = [value] if isinstance(value, dict | list) else []
    for _ in range(levels + 1):
        below = [item.values() if isinstance(item, dict) else item for item in layer]
        if not below:
            return False
        layer = [child for items in below if not _FLAT.issuperset(map(type, items)) for child in items]
        layer = [child for child in layer if isinstance(child, dict | list)]
    return True


_FLAT = frozenset({int, float, str, bool, type(None)})  # a long list of numbers is passed over at C's speed


def refuse_unstorable(value: Any, loc: tuple[str | int, ...] = ()) -> None:
    """Raises Invalid at the first text with a NUL character or half a surrogate pair."""
    if isinstance(value, str):
        if "\x00" in value:
            raise Invalid([{"loc": list(loc), "msg": "Text must not contain the NUL character (U+0000)."}])
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise Invalid([{"loc": list(loc), "msg": "Text must not contain half a surrogate pair."}])
    elif isinstance(value, dict):
        for key, item in value.items():
            refuse_unstorable(key, loc)
            refuse_unstorable(item, (*loc, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_unstorable(item, (*loc, index))


def refuse_non_finite(value: Any, loc: tuple[str | int, ...] = ()) -> None:
    """Raises Invalid at the first number that is not finite: a spec is kept as JSON, which has no such numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Invalid([{"loc": list(loc), "msg": f"A number must be finite, not {name_of(value)}."}])
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        refuse_non_finite(item, (*loc, key))
