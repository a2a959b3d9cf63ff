"""Workers, queues and one's own tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, ConfigDict, Field

from webapp.api.schemas.common import Input, Output
from webapp.runs.states import Status


class WorkerRun(Output):
    run: int
    attempt: int
    step: int
    steps: int | None


class WorkerOutput(Output):
    id: int
    name: str
    hostname: str
    slots: int
    busy: int = Field(description="Slots taken.")
    queues: list[str]
    devices: list[Any]
    versions: dict[str, Any]
    draining: bool
    alive: bool = Field(description="Heard from within the last 20 seconds and not stopped.")
    started_at: datetime
    heartbeat_at: datetime
    runs: list[WorkerRun] = Field(description="What it runs, as far as you may see it.")


class WorkerList(Output):
    items: list[WorkerOutput]
    next: str | None = None


class QueuedRun(Output):
    run: int
    position: int
    project: str
    name: str
    priority: int
    queued_at: datetime


class QueueOutput(Output):
    name: str = Field(examples=["default"])
    paused: bool
    queued: int
    active: int
    runs: list[QueuedRun] = Field(description="Those you may see, each with its place among all; the first 500.")


class QueueList(Output):
    items: list[QueueOutput]
    next: str | None = None


class MoveInput(Input):
    model_config = ConfigDict(json_schema_extra={"examples": [{"position": 1}]})

    position: int = Field(ge=1, le=1_000_000, description="The place to take, from 1, among runs of equal priority.")


class MoveReply(Output):
    run: int
    status: Status
    position: int | None


class TokenInput(Input):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "laptop", "expires_at": "2030-01-01T00:00:00Z"}]}
    )

    name: str
    expires_at: AwareDatetime | None = Field(None, description="In the future; never when left out.")


class TokenOutput(Output):
    id: int
    name: str
    prefix: str = Field(examples=["hone_Ab3d"])
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


class NewToken(TokenOutput):
    token: str = Field(description="Shown this once; only its hash is kept.")


class TokenList(Output):
    items: list[TokenOutput]
    next: str | None = None
