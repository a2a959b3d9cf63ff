"""Numbers of a ladder as text."""

from __future__ import annotations


def power(value: float | None, digits: int = 3) -> str:
    """A number of FLOPs: 2.5e+12 -> 2.5e12; whole powers without a fraction, 1e13."""
    return "" if value is None else f"{value:.{digits}g}".replace("e+0", "e").replace("e+", "e")
