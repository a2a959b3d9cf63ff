"""What can go wrong with a sweep or a schedule."""

from __future__ import annotations

from webapp.accounts.errors import FieldError, Invalid

__all__ = ["Exhausted", "FieldError", "Invalid", "WrongState"]


class WrongState(Exception):  # noqa: N818 - reads as what it tells
    """The sweep or trial is not in a state from which this is possible; the message says what is."""


class Exhausted(Exception):  # noqa: N818
    """The sampler has no further point: a grid is done, or no point that meets the constraints was found."""
