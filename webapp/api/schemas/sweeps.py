"""A sweep as the API shows it, and what may be asked of one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from webapp.api.schemas.common import Input, Number, Output
from webapp.sweeps.definition import Budget, Objective, Search, Seeds, Stopper
from webapp.sweeps.states import SweepStatus

SEARCH_EXAMPLE: dict[str, Any] = {
    "sampler": {"name": "tpe"},
    "space": {
        "method.name": {"choices": ["lora", "full"]},
        "method.rank": {"low": 2, "high": 32, "log": True, "when": {"method.name": ["lora"]}},
        "optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    },
    "constraints": ["method.rank <= 16 or optimizer.lr <= 1e-3"],
}
DEFINITION_EXAMPLE: dict[str, Any] = {
    "spec": {
        "kind": "finetune", "model": {"source": "run", "run": 1},
        "data": {"source": "builtin", "name": "stdlib-source"}, "method": {"name": "lora"}, "steps": 200,
        "eval_every": 20,
    },
    "search": SEARCH_EXAMPLE,
    "objective": {"metric": "eval/loss", "goal": "minimize"},
    "stopper": {"name": "asha", "min_steps": 20, "reduction": 3},
    "trials": 12,
    "seeds": {"tune": 3, "racing": True, "test": 3},
    "concurrency": 2,
    "budget": {"gpu_hours": 1.5, "deadline": "2099-01-01T18:00:00+01:00"},
}  # fmt: skip
SWEEP_EXAMPLE: dict[str, Any] = {
    "project": "tiny-language-models", "name": "rank and rate", "tags": ["lora"], "priority": 0, "queue": "default",
    **DEFINITION_EXAMPLE,
}  # fmt: skip


def _told_as(shape: Any) -> BeforeValidator:
    """Describes a part of a definition without checking it: webapp.sweeps.checking does, with sentences of its own."""
    return BeforeValidator(lambda value: value, json_schema_input_type=shape)


SearchInput = Annotated[dict[str, Any], _told_as(Search)]
ObjectiveInput = Annotated[dict[str, Any] | list[Any], _told_as(Objective | list[Objective])]
StopperInput = Annotated[dict[str, Any] | str | None, _told_as(Stopper | str | None)]
SeedsInput = Annotated[dict[str, Any] | int, _told_as(Seeds | int)]
BudgetInput = Annotated[dict[str, Any], _told_as(Budget)]


class DefinitionInput(Input):
    """What to search, what is better, when to stop a trial, with how many seeds, within what."""

    model_config = ConfigDict(json_schema_extra={"examples": [DEFINITION_EXAMPLE]})

    spec: dict[str, Any] = Field(description="A job spec; each trial is it with the point's values merged in.")
    search: SearchInput = Field(description="The sampler (a name, or its knobs with one), the space, constraints.")
    objective: ObjectiveInput = Field(description="One, or a list of up to three.")
    stopper: StopperInput = Field(None, description="Null lets every trial train to its end.")
    trials: int = 20
    seeds: SeedsInput = Field(1, description="Tuning seeds a trial, or an object.")
    concurrency: int = Field(2, description="Runs that are queued or training at once.")
    budget: BudgetInput = Field({}, description="Nothing new is started that would not end within it.")


class SweepInput(DefinitionInput):
    model_config = ConfigDict(json_schema_extra={"examples": [SWEEP_EXAMPLE]})

    project: str = Field(description="The project's slug.")
    name: str = Field("", description="Up to 200 characters; made from the definition when empty.")
    tags: list[str] = Field([], description="Up to 60 characters each.")
    priority: int = Field(0, description="Of its runs; higher goes first.")
    queue: str = "default"


class SearchChanges(Input):
    """What is sent takes the place of what is there; what is left out stays."""

    sampler: dict[str, Any] | str | None = None
    space: dict[str, Any] | None = None
    constraints: list[str] | None = None
    seed: int | None = None


class SweepChanges(Input):
    """Only the fields that are sent are changed; trials that were already begun keep their points."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"concurrency": 4, "search": {"space": {"optimizer.lr": {"low": 1e-4, "high": 1e-3, "log": True}}}}
            ]
        }
    )

    name: str | None = None
    tags: list[str] | None = None
    priority: int | None = None
    search: SearchChanges | None = None
    stopper: StopperInput = None
    trials: int | None = Field(None, description="In all, not more.")
    concurrency: int | None = None
    budget: BudgetInput | None = None
    seeds: SeedsInput | None = None


class Extension(Input):
    """What a sweep gets on top; one that is over goes on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"trials": 10, "budget": {"gpu_hours": 3.0}}]})

    trials: int | None = Field(None, ge=1, description="Added to those it was to have.")
    budget: BudgetInput | None = Field(None, description="The limits that take the place of the old ones.")


class IntervalOutput(Output):
    """Student's t; no bounds where there is one value only."""

    mean: Number | None
    low: Number | None
    high: Number | None
    n: int = Field(description="Seeds.")


class BestOutput(Output):
    """By the mean over the tuning seeds. With several objectives: one of the Pareto front, best in the first."""

    trial: int
    params: dict[str, Any]
    value: Number | None = Field(description="Of the first objective.")
    values: list[Number | None] = Field(description="One per objective.")
    interval: IntervalOutput | None = Field(description="Of the first objective.")
    intervals: list[IntervalOutput | None]
    test: list[IntervalOutput | None] | None = Field(
        description="On the test seeds and the test split, which chose nothing; null until they have run."
    )


class SpentOutput(Output):
    trials: int
    runs: int
    gpu_hours: float
    wall_hours: float
    flops: float
    energy_kwh: float | None = Field(description="Null where no device tells its power.")


class ForecastOutput(Output):
    """What is still to come, from measured throughput; null stands where nothing has been measured."""

    seconds_per_run: float | None
    runs_left: int | None
    gpu_hours: float | None
    wall_hours: float | None
    flops: float | None
    energy_kwh: float | None
    ends_at: datetime | None
    measured_runs: int


class SweepSummary(Output):
    """A sweep in a list."""

    id: int
    project: str = Field(description="The project's slug.")
    name: str
    status: SweepStatus
    counts: dict[str, int] = Field(
        description="Trials by status, and `total`.", examples=[{"running": 2, "succeeded": 7, "total": 9}]
    )
    best: BestOutput | None
    spent: SpentOutput
    objective: list[Objective]
    trials: int = Field(description="That it is to have.")
    tags: list[str]
    priority: int
    queue: str
    schedule: int | None
    protocol: dict[str, Any] | None
    created_by: str | None
    created_at: datetime
    ended_at: datetime | None
    end_reason: str
    trials_url: str
    url: str = Field(description="The sweep's page.")


class SweepOutput(SweepSummary):
    forecast: ForecastOutput
    spec: dict[str, Any]
    search: Search
    stopper: Stopper | None
    seeds: Seeds
    concurrency: int
    budget: Budget
    revision: int = Field(description="Grows with every edit.")


class SweepList(Output):
    items: list[SweepSummary]
    next: str | None = Field(description="Pass it as `cursor` for the next page; null on the last.")


class SweepEventOutput(Output):
    at: datetime
    by: str | None
    message: str


class SweepEventList(Output):
    items: list[SweepEventOutput]
    next: str | None = Field(description="Pass it as `cursor` for what came after; null when there is nothing yet.")


class Requeued(Output):
    requeued: int = Field(description="Trials that run again.")
