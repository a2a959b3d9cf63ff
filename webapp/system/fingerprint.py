"""A word that changes with the files of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def fingerprint(folder: Path, *more: str) -> str:
    """Of the names, sizes and times of all files below a folder, and of some words more."""
    told = [*more, *(f"{path.relative_to(folder)} {_state(path)}" for path in _files(folder))]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _state(path: Path) -> str:
    told = path.stat()
    return f"{told.st_size} {told.st_mtime_ns}"
