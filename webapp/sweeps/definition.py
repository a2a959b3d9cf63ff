"""What a sweep is asked to do: the search, what is better, when to stop a trial, with how many seeds, within what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from webapp.sweeps import registry

if TYPE_CHECKING:
    Sampler: TypeAlias = registry.Knobs
    Stopper: TypeAlias = registry.Knobs
else:
    Sampler = registry.union("search.samplers")
    Stopper = registry.union("stoppers")


def _plain(value: Any) -> Any:
    if value is not None and not isinstance(value, str | int | float):
        raise ValueError("must be text, a number, true, false or null")
    return value


if TYPE_CHECKING:
    Plain: TypeAlias = str | int | float | bool | None
else:
    Plain = Annotated[str | int | float | bool | None, BeforeValidator(_plain)]
TEST_SEEDS_FROM = 10_000  # tuning seeds lie below


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Range(Part):
    """Numbers from `low` to `high`, both included. Whole numbers when the knob's type is (or `step` and both are)."""

    low: float
    high: float
    log: bool = False
    step: float | None = Field(None, gt=0)
    when: dict[str, list[Plain]] | None = Field(None, description="Only where these paths have one of these values.")

    @model_validator(mode="after")
    def _is_range(self) -> Range:
        if not self.low <= self.high:
            raise ValueError(f"low must not exceed high: {self.low:g} > {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range must begin above 0: low is {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("a log range has no step")
        return self


class Choices(Part):
    choices: list[Plain] = Field(min_length=1, max_length=1000)
    when: dict[str, list[Plain]] | None = Field(None, description="Only where these paths have one of these values.")


def _shaped(value: Any) -> Any:
    """One of the two by its fields, so that what is wrong is told at its place within one of them, not in both."""
    if isinstance(value, Part):
        return value
    if not isinstance(value, Mapping):
        raise ValueError('must be {"low": .., "high": ..} or {"choices": [..]}')
    return (Choices if "choices" in value else Range).model_validate(value)


if TYPE_CHECKING:
    Dimension: TypeAlias = Range | Choices
else:
    Dimension = Annotated[Range | Choices, BeforeValidator(_shaped, json_schema_input_type=Range | Choices)]
Space: TypeAlias = dict[str, Dimension]


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class Search(Part):
    """Which points are tried. Paths are those of the job spec: "optimizer.lr"."""

    sampler: Annotated[Sampler, BeforeValidator(_named)] = Field({"name": "tpe"}, validate_default=True)
    space: Space = Field(min_length=1, max_length=100)
    constraints: list[Annotated[str, Field(max_length=500)]] = Field([], max_length=50)
    seed: int = Field(0, ge=0, lt=2**32, description="Of the sampler.")


class Objective(Part):
    """The last value of a metric, or another statistic of its series."""

    metric: str = Field(min_length=1, max_length=200)
    goal: Literal["minimize", "maximize"] = "minimize"
    statistic: Literal["last", "min", "max", "mean"] = "last"


def _counted(value: Any) -> Any:
    return {"tune": value} if isinstance(value, int) and not isinstance(value, bool) else value


class Seeds(Part):
    """Replicates. Tuning seeds are `first`, `first` + 1, ...; test seeds are 10000, 10001, ...: they never meet."""

    tune: int = Field(1, ge=1, le=100, description="Seeds that a trial is judged by.")
    first: int = Field(0, ge=0, lt=TEST_SEEDS_FROM - 100)
    racing: bool = Field(False, description="Begin with `racing_from` seeds; only contenders get the others.")
    racing_from: int = Field(1, ge=1, le=100)
    test: int = Field(0, ge=0, le=100, description="Seeds on which the winner is reported, on the test split.")
    test_each: str | None = Field(
        None,
        max_length=200,
        description="Report the best trial of every choice at this path (method.name), not only the best of all.",
        json_schema_extra={"advanced": True},
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Of intervals, and of racing's decisions.")


class Budget(Part):
    """Nothing new is started that would not end within it; None is no limit."""

    gpu_hours: float | None = Field(None, gt=0)
    wall_hours: float | None = Field(None, gt=0, description="Since the sweep was made.")
    flops: float | None = Field(None, gt=0)
    energy_kwh: float | None = Field(None, gt=0, description="Measured power times time; where a device tells it.")
    deadline: datetime | None = None

    @field_validator("deadline")
    @classmethod
    def _has_zone(cls, deadline: datetime | None) -> datetime | None:
        if deadline is not None and deadline.tzinfo is None:
            raise ValueError("deadline must name its time zone, like 2026-11-21T18:00:00+01:00")
        return deadline


def _listed(value: Any) -> Any:
    """A single one is checked here, where what is wrong with it has no place in a list."""
    return [Objective.model_validate(value)] if isinstance(value, Mapping) else value


class Definition(Part):
    """A sweep less its name and place. `spec` is a job spec; each trial is it with the point's values merged in."""

    spec: dict[str, Any]
    search: Search
    objective: Annotated[list[Objective], BeforeValidator(_listed)] = Field(min_length=1, max_length=3)
    stopper: Annotated[Stopper, BeforeValidator(_named)] | None = None
    trials: int = Field(20, ge=1, le=100_000)
    seeds: Annotated[Seeds, BeforeValidator(_counted)] = Field(Seeds(), validate_default=True)
    concurrency: int = Field(2, ge=1, le=1000, description="Runs that are queued or training at once.")
    budget: Budget = Budget()

    @property
    def test_runs(self) -> int:
        """Runs on test seeds when every winner has been found."""
        each = self.search.space.get(self.seeds.test_each or "")
        return self.seeds.test * (len(each.choices) if isinstance(each, Choices) else 1)

    @property
    def runs(self) -> int:
        """All seeds of all trials, and the winners' test seeds."""
        return self.trials * self.seeds.tune + self.test_runs


def sign(objective: Objective) -> float:
    """Times a value: what is then minimised."""
    return 1.0 if objective.goal == "minimize" else -1.0


def signs(objectives: Sequence[Objective]) -> list[float]:
    return [sign(objective) for objective in objectives]
