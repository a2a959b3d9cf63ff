"""Before a sweep: its plan, a space to begin with, what there is to choose from."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from webapp.api.schemas.common import Output
from webapp.api.schemas.sweeps import ForecastOutput, SweepInput


class PlanInput(SweepInput):
    """The body of POST /sweeps; the project may be left out, and then what its runs could read is not looked at."""

    project: str = Field("", description="The project's slug.")


class ExamplePoint(Output):
    params: dict[str, Any]
    spec: dict[str, Any]


class SweepPlan(Output):
    """What a definition would do: its first points with their specs, and what it would cost."""

    forecast: ForecastOutput
    examples: list[ExamplePoint]


class SpaceOutput(Output):
    space: dict[str, Any] = Field(description="For `search.space`: a dimension for every knob that has bounds.")


class EntryOutput(Output):
    name: str = Field(examples=["asha"])
    title: str
    summary: str
    doc: str
    paper: str | None
    knobs: dict[str, Any] = Field(description="JSON schema: bounds, defaults, help.")


class EntryList(Output):
    items: list[EntryOutput]
    next: str | None = None
