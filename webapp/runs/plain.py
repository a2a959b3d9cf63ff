"""Makes what a training process says fit for Postgres, whose text has no NUL and whose JSON has no NaN."""

from __future__ import annotations

import math
import numbers
from typing import Any

NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def text(value: str) -> str:
    """Without NUL; lone surrogates become U+FFFD."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode() if value else value


def json(value: Any) -> Any:
    """The same nested value with NaN and the infinities as the strings "NaN", "Infinity" and "-Infinity"."""
    match value:
        case bool() | None | int():
            return value
        case float():
            return value if math.isfinite(value) else NON_FINITE.get(value, "NaN")
        case str():
            return text(value)
        case dict():
            return {text(str(key)): json(item) for key, item in value.items()}
        case list() | tuple():
            return [json(item) for item in value]
        case numbers.Integral():  # numpy's
            return int(value)
        case numbers.Real():
            return json(float(value))
    raise TypeError(f"{type(value).__name__} is not a plain value: {value!r}")
