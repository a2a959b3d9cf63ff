"""Places in an order: less is better, equals share the better place."""

from __future__ import annotations

from collections.abc import Sequence


def ranks(values: Sequence[float | None]) -> list[int | None]:
    """From 1; None where there is no value."""
    ordered = sorted(value for value in values if value is not None)
    return [None if value is None else ordered.index(value) + 1 for value in values]
