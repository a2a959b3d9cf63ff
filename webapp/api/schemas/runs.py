"""A run as the API shows it, and what may be asked of one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from webapp.api.schemas.common import Input, Number, Output
from webapp.runs.states import Status

SPEC_EXAMPLE: dict[str, Any] = {
    "kind": "finetune",
    "model": {"source": "run", "run": 1},
    "data": {"source": "builtin", "name": "stdlib-source"},
    "method": {"name": "lora", "rank": 8, "alpha": 16, "targets": "attention"},
    "optimizer": {"name": "adamw", "lr": 1e-3},
    "schedule": {"name": "cosine", "warmup_steps": 10},
    "steps": 200,
    "batch_size": 16,
    "sequence_length": 128,
    "eval_every": 50,
    "checkpoint_every": 100,
    "seed": 0,
    "precision": "auto",
}
RUN_EXAMPLE: dict[str, Any] = {
    "project": "tiny-language-models", "name": "lora r8", "tags": ["lora"], "priority": 0, "queue": "default",
    "baseline": 1, "spec": SPEC_EXAMPLE,
}  # fmt: skip


class RunInput(Input):
    model_config = ConfigDict(json_schema_extra={"examples": [RUN_EXAMPLE]})

    project: str = Field(description="The project's slug.")
    spec: dict[str, Any] = Field(description="A job spec; its fields by kind are at /api/v1/kinds.")
    name: str = Field("", description="Up to 200 characters; made from the spec when empty.")
    tags: list[str] = Field([], description="Up to 60 characters each.")
    priority: int = Field(0, description="Higher goes first.")
    queue: str = "default"
    baseline: int | None = Field(None, description="A run to compare the result with.")


class RunChanges(Input):
    """Only the fields that are sent are changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "lora r8, again", "tags": ["lora", "keep"]}]})

    name: str | None = None
    tags: list[str] | None = None
    priority: int | None = None
    queue: str | None = None
    baseline: int | None = None


class CloneInput(Input):
    """What the copy does differently. `spec` is merged into the original's, level by level."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "seed 1", "spec": {"seed": 1}}]})

    spec: dict[str, Any] = {}
    name: str = Field("", description="The original's when empty.")
    tags: list[str] | None = None
    priority: int | None = None
    queue: str | None = None


class FinishInput(Input):
    """How a run of kind external ended."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "succeeded", "result": {"accuracy": 0.93}}]})

    status: Literal[Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.OUT_OF_MEMORY, Status.DIVERGED]
    result: dict[str, Any] | None = None
    error_message: str = Field("", description="One sentence that says what went wrong.")


class HeartbeatReply(Output):
    status: Status = Field(description="The run's: running, unless somebody has ended it.")


class Summary(Output):
    """One metric over all of a run. min, max and mean are those of the finite values."""

    last: Number | None = Field(examples=[1.873])
    min: Number | None
    max: Number | None
    mean: Number | None
    count: int
    last_step: int | None


class RunError(Output):
    type: str = Field(examples=["DataError"])
    message: str = Field(description="One sentence that says what to change.")


class PhaseOutput(Output):
    name: str = Field(examples=["train"])
    step: int
    at: datetime
    peak_memory_bytes: int | None


class AttemptOutput(Output):
    number: int
    status: Status
    worker: str
    devices: list[Any]
    resumed_from_step: int | None
    last_step: int
    phases: list[PhaseOutput]
    error: RunError | None
    started_at: datetime
    ended_at: datetime | None


class RunOutput(Output):
    id: int
    project: str = Field(description="The project's slug.")
    name: str
    kind: str = Field(examples=["finetune"])
    status: Status
    priority: int
    queue: str
    position: int | None = Field(description="Place in its queue from 1; null unless it is queued.")
    tags: list[str]
    baseline: int | None
    spec: dict[str, Any]
    summary: dict[str, Summary] = Field(description="By metric name.")
    result: dict[str, Any] | None
    error: RunError | None
    attempts: list[AttemptOutput]
    step: int
    steps: int | None
    phase: str
    facts: dict[str, Any] = Field(description="Parameters, model, data, FLOPs formula and planned memory.")
    provenance: dict[str, Any] = Field(description="Git commit, versions, hardware, seed.")
    created_by: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    url: str = Field(description="The run's page.")


class RunList(Output):
    items: list[RunOutput]
    next: str | None = Field(description="Pass it as `cursor` for the next page; null on the last.")


class CompletionItem(Output):
    text: str = Field(description="What to put in place of the characters from start to end.", examples=["metrics."])
    label: str = Field(description="What to show.")
    kind: str = Field(description="column, metrics, params, facts, operator, value or keyword.")


class CompletionOutput(Output):
    start: int
    end: int
    items: list[CompletionItem]


class LogLineOutput(Output):
    id: int
    attempt: int | None
    at: datetime
    level: str
    message: str


class LogList(Output):
    items: list[LogLineOutput]
    next: str | None = Field(description="Pass it as `cursor` for the lines after these; null when there are none yet.")


class ArtifactOutput(Output):
    path: str = Field(examples=["checkpoints/step-400/model.safetensors"])
    folder: str
    type: Literal["checkpoint", "model", "file"]
    step: int | None
    size: int = Field(description="Bytes.")
    sha256: str
    created_at: datetime
    url: str


class ArtifactList(Output):
    items: list[ArtifactOutput]
    next: str | None = None
