"""Merge: experts of one base made into one model, with coefficients by hand or found on held-out data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from gpu_jobs import registry
from gpu_jobs.context import Context
from gpu_jobs.deltas import MergerKnobs
from gpu_jobs.events import Event
from gpu_jobs.sources import Data, DataSource, ModelSource, Source, new_model
from gpu_jobs.spec import EVAL_BATCHES, PRECISION, SEED, JobSpec, knob

if TYPE_CHECKING:
    from gpu_jobs.cost import Plan

    MethodKnobs: TypeAlias = MergerKnobs
else:
    MethodKnobs = registry.union("mergers")

MOST_VALUES = 200
KNOB: Any = Field("scale", pattern=r"^[a-z_]+$", max_length=60, description="The number of the method that is varied.")


class Expert(BaseModel):
    """A model that was trained from the base."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelSource = Field(description="A trained model, or an adapter on the base.")
    label: str = Field("", max_length=100, description="What it is called in the result. Empty: its run or folder.")
    weight: float = Field(1.0, ge=-100, le=100, description="What its change counts.")
    data: DataSource | None = Field(None, description="The data of its own task, on which it is the one to reach.")


class Manual(BaseModel):
    """The experts' weights and the method's knobs as they are given."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="By hand")

    name: Literal["manual"]


class Grid(BaseModel):
    """Every one of these values, judged on the evaluation split; the best is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Grid")

    name: Literal["grid"]
    knob: str = KNOB
    values: list[float] = Field(
        [0.2, 0.4, 0.6, 0.8, 1.0], min_length=1, max_length=MOST_VALUES, description="The values that are tried."
    )

    def bounds(self) -> list[float]:
        """All that the knob may be set to."""
        return self.values


class Search(BaseModel):
    """A pattern search on the evaluation split, from what is given: a step up or down in turn, halved when none helps.

    (Hooke and Jeeves 1961.) It never ends worse than it began.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="Search")

    name: Literal["search"]
    knob: str = KNOB
    low: float = Field(0.0, ge=-100, le=100, description="The least value that is tried.")
    high: float = Field(2.0, ge=-100, le=100, description="The largest value that is tried.")
    weights: bool = Field(False, description="Vary each expert's weight, too, within the same bounds.")
    trials: int = Field(20, ge=1, le=1000, description="Merges that are judged.")

    def bounds(self) -> list[float]:
        """The ends of what the knob may be set to."""
        return [self.low, self.high]

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.high <= self.low:
            raise ValueError(f"high must exceed low: {self.high} <= {self.low}")
        return self


Coefficients: TypeAlias = Annotated[Manual | Grid | Search, Field(discriminator="name")]


class Spec(JobSpec):
    kind: Literal["merge"]
    base: ModelSource = knob(..., "The trained model that all experts started from.", "Model", validate_default=True)
    experts: list[Expert] = knob(
        ...,
        'A list of what is merged: {"model": {"source": "run", "run": 12}, "weight": 1.0, "data": {...}}, with the '
        "data of its own task where it is to be judged.",
        "Model",
        min_length=1,
        max_length=100,
    )
    first: int | None = knob(
        None, "Merge only the first so many of the experts. Empty: all.", "Model", ge=1, le=100, advanced=True
    )
    method: MethodKnobs = knob({"name": "task_arithmetic"}, "How they are merged.", "Method", validate_default=True)
    coefficients: Coefficients = knob(
        {"name": "manual"}, "How much of each change is added.", "Method", validate_default=True
    )
    tasks: list[DataSource] = knob([], "More data on which all models are judged.", "Evaluation", max_length=100)
    split: Literal["eval", "test"] = knob(
        "eval",
        "The part of the data that the final figures are of; coefficients are always found on the evaluation split.",
        "Evaluation",
        validate_default=True,
    )
    sequence_length: int = knob(
        256, "Tokens per sample; longer text is packed or cut.", "Evaluation", ge=2, le=1_048_576
    )
    batch_size: int = knob(16, "Samples at a time.", "Evaluation", ge=1, le=1_048_576)
    eval_batches: int = EVAL_BATCHES
    seed: int = SEED
    precision: Literal["auto", "fp32", "bf16"] = PRECISION

    @property
    def chosen(self) -> list[Expert]:
        """The experts that are merged."""
        return self.experts[: self.first]

    def data(self) -> list[Data]:
        """What is judged on, each once: the data of the experts' tasks, then the rest."""
        own = [expert.data for expert in self.chosen if expert.data is not None]
        found: list[Data] = [*own, *self.tasks]
        return [source for number, source in enumerate(found) if source not in found[:number]]

    def plan(self, base: Mapping[str, dict[str, Any]]) -> Plan:
        """What it will need, from the facts of the run that its base is."""
        from gpu_jobs import cost

        facts = base.get(self.base.reference() or "") or {}
        return cost.plan_merge(facts.get("model", {}).get("config"), str(facts.get("task", "causal_lm")))

    @field_validator("base")
    @classmethod
    def _is_trained(cls, base: Source) -> Source:
        if new_model(base) is not None:
            raise ValueError("base must be a trained model, from which the experts started: choose run, path or hub")
        return base

    @field_validator("experts")
    @classmethod
    def _are_trained(cls, experts: list[Expert]) -> list[Expert]:
        for number, expert in enumerate(experts):
            if new_model(expert.model) is not None:
                raise ValueError(f"expert {number + 1} must be a trained model: choose run, path or hub")
        return experts

    @field_validator("first")
    @classmethod
    def _are_there(cls, first: int | None, info: ValidationInfo) -> int | None:
        if first and first > len(info.data.get("experts", range(first))):
            raise ValueError(f"first must not exceed the number of experts: {first} > {len(info.data['experts'])}")
        return first

    @field_validator("coefficients")
    @classmethod
    def _knob_is_there(cls, coefficients: Coefficients, info: ValidationInfo) -> Coefficients:
        if isinstance(coefficients, Grid | Search) and "method" in info.data:
            for value in coefficients.bounds():
                with_knob(info.data["method"], coefficients.knob, value)
        return coefficients

    @model_validator(mode="after")
    def _can_judge(self) -> Self:
        if not self.data() and not isinstance(self.coefficients, Manual):
            raise ValueError(
                f"coefficients {self.coefficients.name!r} are found on held-out data: name an expert's data, or tasks"
            )
        if self.split == "test" and any(not source.has_test for source in self.data()):
            raise ValueError(
                "split 'test' needs a test split of all data: set test_fraction of each, to 0.1 for example"
            )
        return self


def with_knob(method: MergerKnobs, name: str, value: float) -> MergerKnobs:
    """The method with another value of one of its numbers. Raises ValueError, naming them, for what is none of them."""
    numbers = [field for field in type(method).model_fields if isinstance(getattr(method, field), int | float)]
    if name not in numbers:
        raise ValueError(f"knob {name!r} is no number of {method.name!r}: choose {' or '.join(numbers)}")
    try:
        return type(method).model_validate(method.model_dump() | {name: value})
    except ValidationError as error:
        raise ValueError(f"{name} of {method.name!r} can't be {value}: {error.errors()[0]['msg']}") from error


def run(spec: Spec, context: Context) -> Iterator[Event]:
    """Says what the task vectors are like, then merges, and judges base, experts and merged model on all tasks."""
    from gpu_jobs.engine.merging.job import merge

    return merge(spec, context)
