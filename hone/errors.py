"""What the client and the command say in one sentence."""

# ruff: noqa: N818 - they read better by their names alone
from __future__ import annotations


class HoneError(Exception):
    """The server refused, can't be reached, or something can't be used."""


class Refused(HoneError):
    """The server has answered, and its answer is no."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class Away(HoneError):
    """The server can't be reached, or can't answer now: the same request may succeed later."""
