"""A comparison of runs: the numbers of the page."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from webapp.api.schemas.common import Number, Output
from webapp.sweeps.comparison import Comparison
from webapp.sweeps.comparison.diff import MISSING, Diff, Measured, Setting
from webapp.sweeps.comparison.question import Goal


class ComparisonOutput(Output):
    found: int = Field(description="Runs that are like this; at most 2,000 of them, the newest, are compared.")
    compared: int
    missing: list[int] = Field(description="Numbers that were asked for and are no runs, or not yours to see.")
    metrics: dict[str, int] = Field(description="In how many of the compared runs each metric was logged.")
    comparison: Comparison


class SettingOutput(Output):
    path: str
    is_same: bool
    values: list[Any] = Field(description="One for each run; null also where it is missing.")
    missing: list[int] = Field(description="The runs that have no such setting.")

    @classmethod
    def of(cls, setting: Setting, runs: list[int]) -> SettingOutput:
        missing = [run for run, value in zip(runs, setting.values, strict=True) if value is MISSING]
        values = [None if value is MISSING else value for value in setting.values]
        return cls(path=setting.path, is_same=setting.is_same, values=values, missing=missing)


class MeasuredOutput(Output):
    metric: str
    aggregate: str
    goal: Goal | None
    values: list[Number | None]
    differences: list[Number | None] = Field(description="To the baseline; null for the baseline itself.")
    best: list[int] = Field(description="The runs with the best finite value, where the values differ.")

    @classmethod
    def of(cls, one: Measured, baseline: int, runs: list[int]) -> MeasuredOutput:
        differences = [one.difference(place, baseline) for place in range(len(runs))]
        best = [runs[place] for place in sorted(one.best)]
        return cls(metric=one.metric, aggregate=one.aggregate, goal=one.goal, values=list(one.values),
                   differences=differences, best=best)  # fmt: skip


class DiffOutput(Output):
    runs: list[int] = Field(description="The order of all values; at most 50.")
    baseline: int | None
    found: int = Field(description="Runs that are like this; the newest 50 are held side by side.")
    missing: list[int] = Field(description="Numbers that were asked for and are no runs, or not yours to see.")
    settings: list[SettingOutput]
    metrics: list[MeasuredOutput]

    @classmethod
    def of(cls, told: Diff, found: int, missing: list[int]) -> DiffOutput:
        runs = [run.pk for run in told.runs]
        return cls(
            runs=runs,
            baseline=runs[told.baseline] if runs else None,
            found=found,
            missing=missing,
            settings=[SettingOutput.of(setting, runs) for setting in told.settings],
            metrics=[MeasuredOutput.of(one, told.baseline, runs) for one in told.metrics],
        )
