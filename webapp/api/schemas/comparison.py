"""A comparison of runs: the numbers of the page."""

from __future__ import annotations

from pydantic import Field

from webapp.api.schemas.common import Output
from webapp.sweeps.comparison import Comparison


class ComparisonOutput(Output):
    found: int = Field(description="Runs that are like this; at most 2,000 of them, the newest, are compared.")
    compared: int
    missing: list[int] = Field(description="Numbers that were asked for and are no runs, or not yours to see.")
    metrics: dict[str, int] = Field(description="In how many of the compared runs each metric was logged.")
    comparison: Comparison
