"""Protocols, the sweeps that one would make, and what a study shows."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from webapp.api.schemas.common import Input, Output
from webapp.api.schemas.runs import SPEC_EXAMPLE

KNOBS_EXAMPLE: dict[str, Any] = {"low": 1e-4, "high": 1e-1, "points": 5, "sizes": ["2x32", "2x64"]}


class ProtocolOutput(Output):
    name: str = Field(examples=["lr_sensitivity"])
    title: str
    summary: str = Field(description="The question that it answers.")
    doc: str = Field(description="The equation and the paper.")
    paper: str | None
    available: bool
    unavailable: str = Field(description="Why it can't be started here; empty when it can.")
    knobs: dict[str, Any] = Field(description="JSON schema of its knobs: bounds, defaults, help.")


class ProtocolList(Output):
    items: list[ProtocolOutput]
    next: str | None = None


class ProtocolPlanInput(Input):
    model_config = ConfigDict(json_schema_extra={"examples": [{"knobs": KNOBS_EXAMPLE, "spec": SPEC_EXAMPLE}]})

    spec: dict[str, Any] = Field(description="The base job spec, of which every sweep is made.")
    knobs: dict[str, Any] = Field({}, description="Its schema is at /api/v1/protocols.")
    project: str = Field("", description="The project's slug; without it, what its runs could read is not looked at.")


class StudyInput(Input):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"project": "tiny-language-models", "knobs": KNOBS_EXAMPLE, "spec": SPEC_EXAMPLE}]
        }
    )

    project: str = Field(description="The project's slug.")
    spec: dict[str, Any] = Field(description="The base job spec, of which every sweep is made.")
    knobs: dict[str, Any] = Field({}, description="Its schema is at /api/v1/protocols.")
    name: str = Field("", max_length=100, description="Of the study; the protocol's title when empty.")
    tags: list[str] = Field([], description="Up to 60 characters each.")
    priority: int = 0
    queue: str = "default"


class PlannedSweep(Output):
    name: str
    trials: int
    runs: int = Field(description="Trials times tuning seeds, and the test seeds of winners.")
    labels: dict[str, Any] = Field(description="Which part of the study it is.")
    definition: dict[str, Any] = Field(description="As in POST /api/v1/sweeps.")
    notes: list[str] = Field(description="What to know before it begins, like what is left out and why.")


class ProtocolPlanOutput(Output):
    trials: int
    runs: int
    sweeps: list[PlannedSweep]


class StudySweep(Output):
    id: int
    name: str
    status: str
    labels: dict[str, Any]
    url: str = Field(description="The sweep, in the API.")


class StudyOutput(Output):
    protocol: str
    group: str = Field(description="What the sweeps of one study share.")
    knobs: dict[str, Any]
    sweeps: list[StudySweep]


class AnalysisOutput(StudyOutput):
    result: dict[str, Any] = Field(
        description="Recomputed from the runs: `outcomes` counts trials by how they stand, `notes` are sentences, the "
        "rest is the protocol's own. Null is what could not be measured."
    )
