"""What can be wrong with metrics that people send or ask for."""

from __future__ import annotations

from webapp.accounts.errors import FieldError, Invalid

__all__ = ["FieldError", "Invalid", "NoSuchSeries"]


class NoSuchSeries(Invalid):
    """The run has no points of that name."""

    def __init__(self, run_id: int, name: str, field: str = "name") -> None:
        super().__init__([{"loc": [field], "msg": f"Run {run_id} has no points of {name!r}."}])
