"""Folders built once and found again by the hash of all that went into them; safe between processes and hosts."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ABANDONED_S = 86_400  # a build that died leaves its folder; the next build a day later removes it
REMEMBERED_BYTES = 16 * 2**20  # below, hashing takes less than reading a note is worth


def key_of(parts: Mapping[str, Any]) -> str:
    """32 hexadecimal digits for plain values; the order of the mapping does not count."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def folder(root: Path, key: str, build: Callable[[Path], None]) -> Path:
    """The folder of `key` under `root`, made by `build(temporary folder)` if it is not there.

    It appears whole or not at all. Processes that ask for one key together wait for the one that builds; where locks
    do not hold (some network file systems) both build, and the first to finish wins.
    """
    target = root / key
    if target.is_dir():
        return target
    root.mkdir(parents=True, exist_ok=True)
    with _lock(root / f"{key}.lock"):
        if not target.is_dir():
            _remove_abandoned(root)
            _build(target, build)
    return target


def _build(target: Path, build: Callable[[Path], None]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        build(temporary)
        temporary.chmod(0o755)
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_abandoned(root: Path) -> None:
    for left in root.glob(".building-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held until the block ends or the process dies; the kernel frees it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def digest_of(path: Path, root: Path) -> str:
    """The SHA-256 of a file; of a large one it is remembered in `root` while size, times and inode stay the same."""
    status = path.stat()
    if status.st_size < REMEMBERED_BYTES:
        return _hash(path)
    seen = [str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    note = root / "digests" / key_of({"file": seen})
    with contextlib.suppress(OSError):
        return note.read_text()
    digest = _hash(path)
    write_atomically(note, digest)
    return digest


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    Path(temporary).replace(path)
