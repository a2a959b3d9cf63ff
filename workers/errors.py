"""What can keep the bridge from running a run."""

from __future__ import annotations


class InputGone(Exception):  # noqa: N818 - reads as what it tells
    """A model or an upload that the spec names was deleted since the run was queued."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Its input {name} is no longer there; clone this run with another one.")


class GivenUp(Exception):  # noqa: N818
    """Postgres was away for longer than a worker that stops may wait."""
