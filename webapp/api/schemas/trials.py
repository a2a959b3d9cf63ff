"""A trial as the API shows it, and what may be asked of one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from webapp.api.schemas.common import Input, Number, Output
from webapp.api.schemas.sweeps import IntervalOutput
from webapp.runs.states import Status
from webapp.sweeps.models import Trial
from webapp.sweeps.states import TrialStatus


class PointInput(Input):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"params": {"method.name": "lora", "method.rank": 8, "optimizer.lr": 1e-3}}]}
    )

    params: dict[str, Any] = Field(description="A value for every path that is active at this point.")


class PriorityInput(Input):
    model_config = ConfigDict(json_schema_extra={"examples": [{"priority": 10}]})

    priority: int = Field(description="Added to the sweep's.")


class SeedOutput(Output):
    """One run of the trial."""

    seed: int
    role: Literal["tune", "test"]
    run: int
    status: Status = Field(description="The run's.")
    values: list[Number | None] | None = Field(description="One per objective, once the run is over.")


class TrialOutput(Output):
    number: int
    status: TrialStatus
    source: Trial.Source
    params: dict[str, Any] = Field(description="Only what is active at this point.")
    value: Number | None = Field(description="Of the first objective.")
    values: list[Number | None] | None = Field(description="Means over the tuning seeds, one per objective.")
    interval: IntervalOutput | None = Field(description="Of the first objective.")
    intervals: list[IntervalOutput | None]
    seeds: list[SeedOutput]
    seeds_wanted: int = Field(description="Tuning seeds that it is to have by now; racing gives more.")
    message: str = Field(description="Why it failed or was stopped.")
    forecasts: list[dict[str, Any]] = Field(description="What the stopper foretold, oldest first.")
    judged_step: int = Field(description="Up to here the stopper has let it live.")
    spared: bool = Field(description="Resumed by a person: no stopper touches it again.")
    generation: int
    parent: int | None = Field(description="The number of the trial whose checkpoint it goes on from.")
    priority: int
    created_at: datetime
    ended_at: datetime | None
    url: str = Field(description="Its address in this API.")


class TrialList(Output):
    items: list[TrialOutput]
    next: str | None = Field(description="Pass it as `cursor` for the next page; null on the last.")


class DifferenceOutput(Output):
    """Of the means, a less b, by Welch's t-test."""

    mean: Number | None
    low: Number | None
    high: Number | None
    p_value: Number | None


class Comparison(Output):
    a: int
    b: int
    metric: str
    intervals: list[IntervalOutput | None] = Field(description="Of a and of b.")
    difference: DifferenceOutput | None = Field(description="Null as long as one of them has no value.")
    confidence: float
    power: float
    seeds_needed: int | None = Field(
        description="More seeds each, to tell them apart; 0: already told apart; null: can't be estimated."
    )
