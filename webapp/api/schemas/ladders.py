"""A ladder as the API shows it, what may be asked of one, and which run it should make next."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from gpu_jobs.points import Bootstrap, Objective
from webapp.api.schemas.common import Input, Number, Output
from webapp.runs.states import Status
from webapp.scaling.definition import Design, LawKnobs, Rates

DEFINITION_EXAMPLE: dict[str, Any] = {
    "target_flops": 1e13,
    "base": {"kind": "pretrain", "data": {"source": "builtin", "name": "stdlib-source"}, "sequence_length": 128},
    "design": {"name": "grid", "sizes": 4, "ratios": [5, 20, 80], "reach": 30},
    "rates": {"name": "step_law", "cap": 0.003},
    "holdout": 1,
    "law": {"name": "chinchilla"},
}
PLAN_EXAMPLE: dict[str, Any] = {"project": "tiny-language-models", **DEFINITION_EXAMPLE}
LADDER_EXAMPLE: dict[str, Any] = {**PLAN_EXAMPLE, "name": "to 1e13", "tags": ["tiny"], "queue": "default"}


def _told_as(shape: Any) -> BeforeValidator:
    """Describes a part of a definition without checking it: webapp.scaling.definition does, at the same fields."""
    return BeforeValidator(lambda value: value, json_schema_input_type=shape)


class LadderPlanInput(Input):
    """What is left out gets the definition's own default."""

    model_config = ConfigDict(json_schema_extra={"examples": [PLAN_EXAMPLE]})

    project: str = Field(description="The project's slug.")
    target_flops: Annotated[Any, _told_as(float)] = Field(description="The budget to foresee, in FLOPs (6 N D).")
    base: dict[str, Any] = Field(description="A pretrain spec; rungs set shape, rate, batch, steps, warm-up and seed.")
    design: Annotated[Any, _told_as(Design | str)] = Field("grid", description="Which runs: grid or isoflop.")
    rates: Annotated[Any, _told_as(Rates | str)] = Field("step_law", description="Their learning rate and batch.")
    warmup: Annotated[Any, _told_as(float | None)] = Field(0.05, description="Share of the steps; null: as the base.")
    seeds: Annotated[Any, _told_as(int)] = Field(1, description="Runs of each rung.")
    holdout: Annotated[Any, _told_as(int)] = Field(1, description="The dearest rungs, foreseen instead of fitted.")
    law: Annotated[Any, _told_as(LawKnobs)] = Field({"name": "chinchilla"}, description="What is fitted.")
    objective: Annotated[Any, _told_as(Objective)] = Field({"name": "huber_log"}, description="What is minimised.")
    bootstrap: Annotated[Any, _told_as(Bootstrap)] = Field({}, description="Where the intervals come from.")


class LadderInput(LadderPlanInput):
    model_config = ConfigDict(json_schema_extra={"examples": [LADDER_EXAMPLE]})

    name: str = Field("", description="Up to 200 characters; made from the budget when empty.")
    tags: list[str] = Field([], description="Of its runs, beside ladder-<id> and rung-<number>.")
    priority: int = Field(0, description="Of its runs; higher goes first.")
    queue: str = "default"


class RungPlan(Output):
    """N is without embeddings, head and norms; C = 6 N D."""

    N: int
    D: int
    C: float
    layers: int
    width: int
    heads: int
    ffn: int
    lr: float
    batch_size: int = Field(description="Sequences per update.")
    steps: int
    sequence_length: int
    seed: int


class PlannedRung(RungPlan):
    is_held_out: bool = Field(description="Foreseen instead of fitted.")
    parameters: int | None = Field(description="All of them.")
    memory_bytes: int | None
    flops: float | None = Field(description="Counted with head and attention.")
    seconds: float | None = Field(description="From measured runs of its size; null as long as there is none.")
    repeats: float | None = Field(description="How often it reads its data, where their size is known.")


class LadderPlanOutput(Output):
    runs: int
    compute: float = Field(description="Sum of 6 N D.")
    seconds: float | None
    warnings: list[str]
    rungs: list[PlannedRung] = Field(description="Cheapest first.")


class ForeseenOutput(Output):
    loss: Number
    low: float | None = Field(description="Of the interval in which a new measurement lies.")
    high: float | None
    inside: bool | None = Field(description="Whether the measured loss does; null before it is there.")


class RungOutput(RungPlan):
    number: int
    run: int | None = Field(description="Null once it is deleted.")
    status: Status | None
    is_held_out: bool
    loss: Number | None = Field(description="The last eval/loss of a run that has succeeded.")
    foreseen: ForeseenOutput | None = Field(description="Of held-out rungs, by the latest fit.")


class LadderSummary(Output):
    id: int
    project: str
    name: str
    target_flops: float
    fit: int | None = Field(description="The fit through its rungs, kept current as they end.")
    runs: dict[str, int] = Field(description="By status, those that there are.")
    created_by: str | None
    created_at: datetime
    url: str


class LadderList(Output):
    items: list[LadderSummary]
    next: str | None = None


class LadderOutput(LadderSummary):
    definition: dict[str, Any]
    compute: float = Field(description="Sum of 6 N D over all rungs.")
    spent: float = Field(description="Of those that have succeeded.")
    rungs: list[RungOutput]


class TargetOutput(Output):
    N: float
    D: float
    loss: Number
    low: float | None = Field(description="Of the interval of the fitted curve there.")
    high: float | None


class ChoiceOutput(PlannedRung):
    choice: int = Field(description="From 1, the best per FLOP first.")
    share: float = Field(description="Its FLOPs over those of all rungs.")
    interval_width: float = Field(description="Of the target's interval afterwards, relative to now.")
    low: float | None = Field(description="Expected afterwards, around the same prediction.")
    high: float | None
    gain_per_flop: float = Field(description="-ln(width) per FLOP.")


class NextOutput(Output):
    target: TargetOutput | None
    choices: list[ChoiceOutput]
    reason: str = Field(description="Why there is none; empty otherwise.")
    assumes: str = Field(description="What the widths rest on.")


class Place(Input):
    N: float = Field(gt=0, le=1e15, description="Parameters without embeddings.")
    D: float = Field(gt=0, le=1e20, description="Tokens.")


class NextInput(Input):
    """One of the two."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"choice": 1}, {"at": {"N": 200000, "D": 4000000}}]})

    choice: int | None = Field(None, ge=1, description="Of GET next, as it is now.")
    at: Place | None = Field(None, description="Any other run.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.choice is None) == (self.at is None):
            raise ValueError("give either choice or at")
        return self


class CancelledOutput(Output):
    cancelled: int = Field(description="Runs that were waiting or training.")
