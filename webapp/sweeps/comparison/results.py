"""What a comparison says, as plain values: the page draws it, the API and the exports tell it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from webapp.sweeps.comparison.question import Question

Verdict = Literal["baseline", "better", "worse", "below noise", "no interval", "no value"]


class Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class Amount(Told):
    """Of a measure or of quality: mean over the seeds, with Student's interval; no bounds from one seed."""

    mean: float
    low: float | None
    high: float | None
    n: int


class Against(Told):
    """Group less baseline. `relative` is the share of the baseline's size, by Fieller's theorem."""

    test: Literal["paired", "welch", ""]
    pairs: int
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    relative: float | None
    relative_low: float | None
    relative_high: float | None


class Line(Told):
    key: int = Field(description="The group's first run: names it in `baseline`.")
    label: str
    method: str
    settings: dict[str, Any] = Field(description="Where it differs from other groups.")
    runs: list[int]
    seeds: list[int] = Field(description="Of the runs that count.")
    outcomes: dict[str, int] = Field(description="Runs by status; only those that succeeded count.")
    quality: Amount | None
    against: Against | None
    verdict: Verdict
    measures: dict[str, Amount | None]
    ratios: dict[str, float | None] = Field(description="Each measure over the baseline's.")
    front: list[str] = Field(description="The measures against which no other group is better in both.")
    budget: float | None = Field(description="What is held equal, over the baseline's.")
    is_within: bool | None = Field(description="Whether that is within the tolerance; null: not measured.")


class Budget(Told):
    axis: str
    tolerance: float
    low: float | None = Field(None, description="Smallest ratio to the reference.")
    high: float | None = None
    is_equal: bool | None = Field(None, description="Null where it is measured of no group.")
    ratios: dict[int, float] = Field({}, description="Over the baseline's (else the median), by group.")
    outside: list[int] = Field([], description="Keys of the groups beyond the tolerance.")
    unknown: list[int] = Field([], description="Keys of the groups of which it is not measured.")
    sentence: str


class Level(Told):
    """A horizontal of the charts. No value: `how` says why not."""

    label: str
    value: float | None
    how: str


class Comparison(Told):
    question: Question
    baseline: int | None
    why_baseline: str
    outcomes: dict[str, int]
    lines: list[Line]
    budget: Budget
    levels: list[Level]
    cautions: list[str] = Field(description="What makes the numbers doubtful, in sentences.")
    notes: list[str] = Field(description="How to read them, in sentences.")
