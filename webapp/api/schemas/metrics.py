"""Series, summaries and the points that outside programs send."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from webapp.api.schemas.common import NUMBER, Input, Number, Output
from webapp.api.schemas.runs import Summary
from webapp.metrics.axes import AXES, METRIC, PATTERN

Axis = Annotated[
    str, Field(pattern=PATTERN, description=f"One of {', '.join(AXES)}, or {METRIC}<name>.", examples=["step"])
]
Band = Literal["std", "minmax", "ci95"]


class MetricOutput(Summary):
    name: str = Field(examples=["train/loss"])


class MetricList(Output):
    items: list[MetricOutput]
    next: str | None = None


class SeriesOutput(Output):
    """A window of one series; spikes survive the decimation."""

    name: str = Field(examples=["train/loss"])
    x_axis: Axis
    x: list[int | Number] = Field(examples=[[1, 2, 3]])
    y: list[Number] = Field(examples=[[4.17, "NaN", 3.98]])
    count: int = Field(description="Points in the window before decimation.")
    decimated: bool


class RunSeries(SeriesOutput):
    run: int
    run_name: str


class BandSeries(SeriesOutput):
    """The mean over a group's runs at the steps that all of them logged, with the band around it."""

    group: str = Field(description="The value that the group's runs share.")
    runs: list[int]
    lower: list[Number]
    upper: list[Number]


class SeriesList(Output):
    items: list[RunSeries | BandSeries]
    next: str | None = None


COLUMN: dict[str, Any] = {
    "type": "object",
    "required": ["value"],
    "additionalProperties": False,
    "properties": {
        "value": {"type": "array", "items": NUMBER, "description": "As long as the other columns."},
        "step": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0},
            "description": "By default the next ones.",
        },
        "time": {
            "type": "array",
            "items": {"type": "number"},
            "description": "Seconds since the epoch; by default now.",
        },
    },
}
Columns = Annotated[Any, WithJsonSchema({"type": "object", "additionalProperties": COLUMN})]
"""Checked by the metric store, whose sentences name the series, the column and the entry."""


class PointsInput(Input):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"series": {"loss": {"step": [1, 2], "value": [4.2, 3.9], "time": [1767225600.0, 1767225601.0]}}}
            ]
        }
    )

    series: Columns = Field(description="By metric name; at most 1,000 metrics and 100,000 points in one request.")


class PointsReply(Output):
    points: int = Field(description="Points stored by this request.")
