"""Numbers of a comparison as people read them."""

from __future__ import annotations

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


def signed(value: float) -> str:
    return f"{value:+.3g}" if value else "0"


def signed_percent(share: float) -> str:
    """+3.1 %; what is 0 has no sign."""
    return f"{'-' if share < 0 else '+'}{text.percent(abs(share))}" if share else "0 %"


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
