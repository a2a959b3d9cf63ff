"""What the command says in one sentence before it ends with status 1."""

from __future__ import annotations


class HoneError(Exception):
    """The server refused, can't be reached, or a file can't be used."""
