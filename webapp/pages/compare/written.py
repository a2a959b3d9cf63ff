"""Numbers of a comparison as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from webapp.pages.runs.facts import NOTHING
from webapp.pages.templatetags import hone as text
from webapp.sweeps.comparison.measured import Unit
from webapp.sweeps.comparison.results import Amount


def _energy(kwh: float) -> str:
    return f"{text.si(kwh)} kWh" if kwh >= 1 else f"{text.si(kwh * 1000)} Wh"


UNITS: Mapping[Unit, Callable[[float], str]] = {
    "count": text.si,
    "share": text.percent,
    "bytes": text.bytes_,
    "seconds": text.duration,
    "kwh": _energy,
    "rate": text.si,
}


def amount(value: Amount | None, unit: Unit) -> str:
    return NOTHING if value is None else UNITS[unit](value.mean)


def signed(value: float, low: float | None = None, high: float | None = None, unit: str = "") -> tuple[str, str]:
    """A difference and its interval, with as many decimals as the interval's width gives a meaning to."""
    if low is None or high is None:
        return f"{value:+.3g}{unit}" if value else f"0{unit}", "no interval"
    places = _places(high - low, value)
    return f"{value:+.{places}f}{unit}", f"{low:+.{places}f} to {high:+.{places}f}{unit}"


def _places(width: float, value: float) -> int:
    """Two digits of the width; of an interval without any, three of the value."""
    size, digits = (width, 2) if width > abs(value) * 1e-6 else (abs(value), 3)
    return min(12, max(0, digits - 1 - math.floor(math.log10(size)))) if size else 0


def times(ratio: float | None) -> str:
    """0.012x, 1.5x, 34x."""
    if ratio is None:
        return ""
    return f"{ratio:.0f}x" if ratio >= 100 else f"{ratio:.2g}x" if ratio < 0.995 else f"{ratio:.3g}x"


def quality(value: Amount | None) -> tuple[str, str]:
    """The mean, and half of its interval."""
    if value is None:
        return NOTHING, ""
    if value.high is None:
        return text.metric(value.mean), "one seed" if value.n == 1 else "no interval"
    return text.metric(value.mean), f"± {value.high - value.mean:.2g}"
