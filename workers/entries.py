"""What a journal holds: the events of the training process, and what the bridge itself has to say about an attempt."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar, Literal

from gpu_jobs import events
from gpu_jobs.events import Event, Failed, Result, Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Event):
    """The files of a Checkpoint or an Artifact are in the storage: `files` are (path, SHA-256) pairs."""

    type: ClassVar[str] = "stored"
    kind: Literal["checkpoint", "model", "file"]
    folder: str
    step: int | None
    files: list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost(Event):
    """The training process was killed from outside: the run goes back to the queue while attempts are left."""

    type: ClassVar[str] = "lost"
    message: str


FINAL = (Result, Failed, Stopped, Lost)
OWN: dict[str, type[Event]] = {kind.type: kind for kind in (Stored, Lost)}


def decode(line: bytes) -> Event:
    """The entry of one line. Raises ValueError when it is none."""
    fields = json.loads(line)
    kind = OWN.get(fields.pop("type", "")) if isinstance(fields, dict) else None
    return kind(**fields) if kind else events.decode(line)


ARTIFACTS = (b'{"type":"checkpoint"', b'{"type":"artifact"')
ENDS = (b'{"type":"result"', b'{"type":"failed"', b'{"type":"stopped"', b'{"type":"lost"')


def is_artifact(line: bytes) -> bool:
    """Whether an encoded entry names files to keep; cheap, as it is asked of every event."""
    return line.startswith(ARTIFACTS)


def is_final(line: bytes) -> bool:
    """Whether an encoded entry is the last one; cheap, too."""
    return line.startswith(ENDS)
