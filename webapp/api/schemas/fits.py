"""A fit of a scaling law as the API shows it, and what may be asked of one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from webapp.api.schemas.common import Input, Number, Output
from webapp.api.schemas.runs import RunError
from webapp.runs.states import Status

FIT_SPEC_EXAMPLE: dict[str, Any] = {
    "law": {"name": "chinchilla"},
    "points": {"source": "runs", "query": "ladder-3", "x": {"loss": "min:eval/loss"}, "filter": "N > 1e5"},
    "holdout": {"largest": 1, "by": "C"},
    "bootstrap": {"resamples": 1000, "unit": "run"},
    "predict": [{"N": 1e8, "D": 2e9}],
}
FIT_EXAMPLE: dict[str, Any] = {
    "project": "tiny-language-models", "name": "loss by size and tokens", "is_kept_current": True,
    "spec": FIT_SPEC_EXAMPLE,
}  # fmt: skip


class FitInput(Input):
    model_config = ConfigDict(json_schema_extra={"examples": [FIT_EXAMPLE]})

    project: str = Field(description="The project's slug.")
    spec: dict[str, Any] = Field(
        description="A spec of kind scaling_fit, which may leave out the kind. The query of points from runs is looked "
        "up for every revision."
    )
    name: str = Field("", description="Up to 200 characters; made from the law when empty.")
    is_kept_current: bool = Field(
        False, description="A new revision whenever its query finds other points; it may wait for its first ones."
    )


class FitChanges(Input):
    """Only the fields that are sent are changed; another spec is fitted at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "by size", "is_kept_current": False}]})

    name: str | None = None
    is_kept_current: bool | None = None
    spec: dict[str, Any] | None = Field(None, description="It takes the place of the old one.")


class RevisionOutput(Output):
    """One fit on the points of its time: a run, whose spec holds them and whose result has all that it found."""

    number: int = Field(description="From 1.")
    run: int
    status: Status
    points: int | None = Field(description="That were fitted.")
    held_out: int | None = Field(description="That were foreseen instead.")
    parameters: dict[str, Number] | None = Field(description="By name; null until it has succeeded.")
    intervals: dict[str, Any] | None = Field(description="low, high, se, median, identified; null without resamples.")
    derived: dict[str, Number | None] | None = Field(description="Numbers made of the parameters.")
    objective: dict[str, Any] | None
    warnings: list[dict[str, str]] = Field(description="What a reader must know before believing it: code, message.")
    error: RunError | None
    created_at: datetime
    ended_at: datetime | None
    run_url: str = Field(description="The run in this API, with the whole result.")


class FitOutput(Output):
    id: int
    project: str = Field(description="The project's slug.")
    name: str
    spec: dict[str, Any] = Field(description="The query as it was asked; what it found is in each revision's run.")
    is_kept_current: bool
    looked_at: datetime | None = Field(description="When its query was last looked up.")
    notice: str = Field(description="Why it is not kept current just now; empty when it is, or is not to be.")
    latest: RevisionOutput | None = Field(description="The last revision that has succeeded.")
    pending: RevisionOutput | None = Field(description="The last revision that is not over.")
    created_by: str | None
    created_at: datetime
    revisions_url: str
    points_url: str = Field(description="The latest points with what the law says to them, as CSV.")


class FitList(Output):
    items: list[FitOutput]
    next: str | None = Field(description="Pass it as `cursor` for the next page; null on the last.")


class RevisionList(Output):
    items: list[RevisionOutput]
    next: str | None = Field(description="Pass it as `cursor` for the next page; null on the last.")


class PredictInput(Input):
    model_config = ConfigDict(json_schema_extra={"examples": [{"points": [{"N": 7e10, "D": 1.4e12}]}]})

    points: list[dict[str, float]] = Field(
        min_length=1, max_length=10_000, description="Each with a value for every variable of the law."
    )


class Prediction(Output):
    at: dict[str, Number]
    value: Number | None = Field(description="Null where the law has no value.")
    band: list[Number] | None = Field(description="Low and high of the curve; null without resamples.")
    interval: list[Number] | None = Field(description="Low and high of one new measurement; null without resamples.")
    extrapolation: Number | None = Field(description="How many times outside the fitted points it lies; 1 within.")


class PredictOutput(Output):
    revision: int
    law: str
    target: str
    level: float = Field(description="What share of the draws a band holds.")
    notice: str = Field(description="Why there are no bands; empty where there are.")
    items: list[Prediction]
