"""What a job says while it runs: one JSON object a line, on a pipe or on standard output.

The stream of one attempt is: Started, then any number of Phase, Metrics, Histograms, Log, Checkpoint and Artifact, then
exactly one of Result, Stopped or Failed.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, TypedDict

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`time` is seconds since the epoch on the machine that trains."""

    type: ClassVar[str]
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """`facts`: parameters, data, FLOPs formula, planned memory. `provenance`: git, versions, hardware, seed."""

    type: ClassVar[str] = "started"
    step: int  # the step it begins from: 0, or the checkpoint's
    steps: int | None
    facts: Json
    provenance: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase(Event):
    """A phase begins. `peak_memory_bytes` is that of the phase it ends."""

    type: ClassVar[str] = "phase"
    name: str
    step: int
    peak_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics(Event):
    """Values at one step. NaN and the infinities are allowed (JSON's NaN, Infinity, -Infinity literals)."""

    type: ClassVar[str] = "metrics"
    step: int
    values: dict[str, float]


class Bins(TypedDict):
    """How many values lie in each of some equal bins between `low` and `high`."""

    low: float
    high: float
    counts: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Histograms(Event):
    """How values lie at one step, by name."""

    type: ClassVar[str] = "histograms"
    step: int
    values: dict[str, Bins]


@dataclass(frozen=True, slots=True, kw_only=True)
class Log(Event):
    type: ClassVar[str] = "log"
    message: str
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Event):
    """A complete folder from which the run can go on. `folder` is relative to the work folder."""

    type: ClassVar[str] = "checkpoint"
    folder: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(Event):
    """A finished file or folder worth keeping, relative to the work folder; `model` folders can be a run's base."""

    type: ClassVar[str] = "artifact"
    path: str
    kind: Literal["model", "file"] = "file"
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Event):
    """The run is done: everything DESIGN section 3 records, as nested plain values."""

    type: ClassVar[str] = "result"
    values: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Event):
    """Asked to stop, it did, at `step`; its checkpoint came before this event."""

    type: ClassVar[str] = "stopped"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """`outcome` is the state the run ends in; `message` is one sentence that says what to change."""

    type: ClassVar[str] = "failed"
    outcome: Literal["failed", "out_of_memory", "diverged"]
    error: str  # the error's class, e.g. DataError
    message: str
    traceback: str = ""


TYPES: dict[str, type[Event]] = {
    kind.type: kind
    for kind in (Started, Phase, Metrics, Histograms, Log, Checkpoint, Artifact, Result, Stopped, Failed)
}


def encode(event: Event) -> bytes:
    """One line of JSON, newline included."""
    return json.dumps({"type": event.type, **asdict(event)}, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Event:
    """The event of one line. Raises ValueError when it is not one."""
    fields = json.loads(line)
    try:
        return TYPES[fields.pop("type")](**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an event: {line[:200]!r}") from error
