"""Paths of artifacts: relative, forward slashes, and never out of the run's folder."""

from __future__ import annotations

from webapp.runs.errors import PathRefused

LONGEST = 400  # characters, the column's width
LONGEST_PART = 255  # bytes, what file systems hold


def confined(path: str) -> str:
    """The path itself when it is safe under any folder on any host. Raises PathRefused with the rule."""
    if not path or len(path) > LONGEST:
        raise PathRefused(f"A path must have 1 to {LONGEST} characters, not {len(path)}.")
    if "\\" in path or any(ord(character) < 32 or ord(character) == 127 for character in path):
        raise PathRefused(f"A path must not contain a backslash or a control character: {path!r}.")
    if path.startswith("/") or path[1:2] == ":":
        raise PathRefused(f"A path must be relative: {path!r}.")
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise PathRefused(f"A path must not contain empty parts, '.' or '..': {path!r}.")
    if any(len(part.encode("utf-8", "surrogatepass")) > LONGEST_PART for part in path.split("/")):
        raise PathRefused(f"Each part of a path must be at most {LONGEST_PART} bytes long: {path!r}.")
    return path


def file_name(name: str) -> str:
    """The last part of what a browser or a client called its file. Raises PathRefused when nothing safe is left."""
    return confined(name.replace("\\", "/").rsplit("/", 1)[-1])
