"""What a run has logged and the server has not got yet, on disk: one folder a run, one line an operation.

    run.json      the server's address, the request that makes the run, and its number once there is one
    lock          held by the process that logs; `hone sync` leaves a run alone while it is
    000000.log    `points {...}`, `media {...}`, `file {...}`, `finish {...}`: a line each, in order; then 000001.log
    sent          the place up to which the server has everything
    files/        copies of files to be uploaded, and pictures
    refused.log   lines that the server does not want

A line is handed to the operating system with one write, so a killed process leaves whole lines and perhaps a torn last
one, which counts as never written. A line's place is in its Idempotency-Key, so that a line sent twice counts once.
Lines of points that wait are sent as one, see delivery.py. A crash of the machine may lose what its disk had not
written yet.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SEGMENT_BYTES = 16 << 20  # a file of lines is deleted once all of it is sent


class Place(NamedTuple):
    segment: int
    offset: int


class Line(NamedTuple):
    kind: str
    body: bytes
    key: str
    following: Place


class Journal:
    """One process appends, one thread of it (or `hone sync`) takes from the front."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = json.loads((folder / "run.json").read_text())
        self._lock = threading.RLock()  # a signal handler may append while the main thread does
        self._held: int | None = None
        self._file: int | None = None
        self._segment = max(self._segments(), default=0)
        self._files = len(list((folder / "files").iterdir()))
        self.place = self._sent()

    @classmethod
    def create(cls, spool: Path, facts: dict[str, Any]) -> Journal:
        """A new folder, locked. `facts`: `url`, `body` of POST /runs and `id` null."""
        folder = spool / uuid.uuid4().hex
        (folder / "files").mkdir(parents=True, mode=0o700)
        _write(folder / "run.json", json.dumps(facts))
        journal = cls(folder)
        journal.hold()
        return journal

    @property
    def key(self) -> str:
        return self.folder.name

    def hold(self) -> bool:
        """Takes the lock; False when another process has it."""
        held = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(held)
            return False
        self._held = held
        return True

    def close(self) -> None:
        """Lets go of the lock, in a forked child too: the parent's stays."""
        for descriptor in (self._held, self._file):
            if descriptor is not None:
                os.close(descriptor)
        self._held = self._file = None

    def note(self, **facts: Any) -> None:
        self.facts |= facts
        _write(self.folder / "run.json", json.dumps(self.facts))

    def append(self, kind: str, body: str) -> None:
        """Raises OSError when the disk takes no more; then the line is not there."""
        line = f"{kind} {body}\n".encode()
        with self._lock:
            self._roll()
            assert self._file is not None
            before = os.lseek(self._file, 0, os.SEEK_END)
            try:
                if os.write(self._file, line) != len(line):
                    raise OSError(28, "No space left on device")
            except OSError:
                os.ftruncate(self._file, before)
                raise

    def keep(self, file: Path) -> str:
        """A copy of a file that may change or go; gives its name in the folder."""
        name = self._new_file()
        shutil.copyfile(file, self.folder / name)
        return name

    def keep_bytes(self, data: bytes) -> str:
        """The same of bytes, complete or not at all. Raises OSError."""
        name = self._new_file()
        try:
            (self.folder / name).write_bytes(data)
        except OSError:
            (self.folder / name).unlink(missing_ok=True)
            raise
        return name

    def next(self) -> Line | None:
        """The first line that is not sent; None when there is none."""
        while True:
            if (line := self._at(self.place)) is not None:
                return line
            if not any(number > self.place.segment for number in self._segments()):
                return None
            self._path(self.place.segment).unlink(missing_ok=True)
            self.place = Place(self.place.segment + 1, 0)

    def after(self, line: Line) -> Line | None:
        """The line behind another in the same file, which stays where it is."""
        return self._at(line.following)

    def _at(self, place: Place) -> Line | None:
        """None where no whole line is."""
        try:
            with self._path(place.segment).open("rb") as file:
                file.seek(place.offset)
                line = file.readline()
        except FileNotFoundError:
            return None
        if not line.endswith(b"\n"):
            return None
        kind, _, body = line[:-1].partition(b" ")
        key = f"{self.key}.{place.segment}.{place.offset}"
        return Line(kind.decode(), body, key, Place(place.segment, place.offset + len(line)))

    def has_more(self) -> bool:
        """Whether something is not sent, asked by a thread other than the one that takes."""
        place, last = self.place, self._segment
        try:
            return place.segment < last or place.offset < self._path(last).stat().st_size
        except FileNotFoundError:
            return False

    def took(self, line: Line) -> None:
        """The server has it."""
        self.place = line.following
        _write(self.folder / "sent", f"{self.place.segment} {self.place.offset}")

    def refuse(self, line: Line) -> None:
        """Puts a line aside that the server does not want."""
        with (self.folder / "refused.log").open("ab") as file:
            file.write(line.kind.encode() + b" " + line.body + b"\n")
        self.took(line)

    def remove(self) -> None:
        """Once everything is sent; lines that were refused stay."""
        self.close()
        if not (self.folder / "refused.log").exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        (self.folder / "run.json").rename(self.folder / "refused.json")
        for path in (*self.folder.glob("[0-9]*.log"), self.folder / "sent", self.folder / "lock"):
            path.unlink(missing_ok=True)

    def _new_file(self) -> str:
        with self._lock:
            self._files += 1
            return f"files/{self._files:06}"

    def _roll(self) -> None:
        if self._file is not None and os.lseek(self._file, 0, os.SEEK_END) >= SEGMENT_BYTES:
            os.close(self._file)
            self._file, self._segment = None, self._segment + 1
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            _cut_torn_end(self._path(self._segment))
            self._file = os.open(self._path(self._segment), flags, 0o600)

    def _path(self, segment: int) -> Path:
        return self.folder / f"{segment:06}.log"

    def _segments(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("[0-9]*.log"))

    def _sent(self) -> Place:
        try:
            segment, offset = (self.folder / "sent").read_text().split()
        except FileNotFoundError:
            return Place(0, 0)
        return Place(int(segment), int(offset))


def left_in(spool: Path) -> Iterator[Path]:
    """The folders of runs that are not wholly sent, oldest first."""
    yield from sorted((path.parent for path in spool.glob("*/run.json")), key=lambda folder: folder.stat().st_ctime)


def _cut_torn_end(path: Path) -> None:
    """Takes away the part of a line that a killed process left, so that the next line stands by itself."""
    if path.exists() and not (lines := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, lines.rfind(b"\n") + 1)


def _write(path: Path, text: str) -> None:
    """Complete or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)
