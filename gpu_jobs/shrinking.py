"""What the kinds share that make a trained model smaller: judge, calibrate, change, retrain, judge the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy, adapter_of
from gpu_jobs.kinds import finetune
from gpu_jobs.sources import DataSource, new_model
from gpu_jobs.spec import (
    EVAL_BATCHES,
    PRECISION,
    SEED,
    MethodKnobs,
    ObjectiveKnobs,
    OptimizerKnobs,
    Reading,
    ScheduleKnobs,
    knob,
)  # fmt: skip


class Calibration(BaseModel):
    """The samples on which weights and activations are looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Calibration")

    data: DataSource | None = Field(None, description="Where they come from: its training split. Empty: the data.")
    samples: int = Field(128, ge=1, le=1_000_000, description="How many.", json_schema_extra={"log": True})
    sequence_length: int | None = Field(
        None, ge=2, le=1_048_576, description="Tokens of each. Empty: the run's sequence_length."
    )
    batch_size: int = Field(
        8, ge=1, le=65_536, description="Samples that pass at a time.", json_schema_extra={"advanced": True}
    )


class Retrain(BaseModel):
    """The training that a smaller model recovers by. An adapter is merged when it is done."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Retraining")

    method: MethodKnobs = Field({"name": "mask_lora"}, description="Which weights are trained.", validate_default=True)
    objective: ObjectiveKnobs = Field(
        {"name": "cross_entropy"}, description="What is minimised.", validate_default=True,
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    optimizer: OptimizerKnobs = Field({"name": "adamw"}, description="The update rule.", validate_default=True)
    schedule: ScheduleKnobs = Field(
        {"name": "cosine"}, description="The learning rate over the steps.", validate_default=True
    )
    steps: int = Field(
        200, ge=1, le=100_000_000, description="Updates of the weights.", json_schema_extra={"log": True}
    )
    batch_size: int = Field(16, ge=1, le=1_048_576, description="Samples per update.", json_schema_extra={"log": True})
    accumulation: int = Field(
        1, ge=1, le=65_536, description="Parts that a batch is worked through in.", json_schema_extra={"advanced": True}
    )
    clip_norm: float = Field(
        1.0, ge=0, le=1e6, description="Longest allowed gradient; 0 never clips.", json_schema_extra={"advanced": True}
    )
    eval_every: int = Field(
        0, ge=0, le=100_000_000, description="Steps between evaluations; 0: only at the end.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    checkpoint_every: int = Field(
        500, ge=0, le=100_000_000, description="Steps between checkpoints; 0: only when stopped.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    gradient_checkpointing: bool = Field(
        False, description="Compute activations twice to hold fewer.", json_schema_extra={"advanced": True}
    )

    @field_validator("method")
    @classmethod
    def _ends_as_plain_model(cls, method: registry.Knobs) -> registry.Knobs:
        adapter = adapter_of(method)
        module = registry.method_of(adapter or method).module
        is_beside = adapter is not None or getattr(module, "IS_SIDE", False)
        merges = getattr(module, "MERGES", hasattr(module, "peft_config") or hasattr(module, "merge"))
        if is_beside and not merges:
            raise ValueError(f"method {method.name!r} can't be merged into the weights: choose one that can, or full")
        if getattr(registry.method_of(method).module, "IS_PRUNING", False):
            raise ValueError(
                f"method {method.name!r} prunes by itself: run it as a fine-tuning, of the pruned model too"
            )
        return method


class Shrinking(Reading):
    """A trained model in, a smaller one out. `data` is what it is judged on and retrained with."""

    LENGTHS: ClassVar[tuple[int, ...]] = ()  # of texts on which the time of a forward is measured, too

    method: Any = knob(None, "How it is made smaller.", "Method")  # each kind says which there are
    calibration: Calibration = knob({}, "The samples it is looked at with.", "Calibration", validate_default=True)
    retrain: Retrain | None = knob(None, "Training afterwards. Empty: none.", "Retraining")
    evaluate: list[DataSource] = knob(
        [], "More data sets to judge it on, before and after.", "Evaluation", max_length=8, advanced=True
    )
    batch_size: int = knob(16, "Samples at a time, when it is judged.", "Evaluation", ge=1, le=1_048_576, advanced=True)
    eval_batches: int = EVAL_BATCHES
    seed: int = SEED
    precision: Literal["auto", "fp32", "bf16"] = PRECISION

    @model_validator(mode="before")
    @classmethod
    def _judge_on_the_calibration_data(cls, values: Any) -> Any:
        """Without `data` it is judged on the first of `evaluate`, else on the data that it is calibrated with."""
        if not isinstance(values, Mapping) or values.get("data") is not None:
            return values
        rest = list(values.get("evaluate") or [])
        first = rest[0] if rest else (values.get("calibration") or {}).get("data")
        return values if first is None else {**values, "data": first, **({"evaluate": rest[1:]} if rest else {})}

    @model_validator(mode="after")
    def _can_retrain(self) -> Self:
        if self.retrain is not None:
            self.training(self.retrain)
        return self

    @model_validator(mode="after")
    def _calibration_fits(self) -> Self:
        new, length = new_model(self.model), self.calibration.sequence_length
        if new and length and length > new.longest:
            raise ValueError(f"calibration.sequence_length exceeds the model's context: {length} > {new.longest}")
        return self

    @property
    def changes(self) -> int:
        """How often the model is changed and judged."""
        return 1

    @property
    def reshapes(self) -> bool:
        """Whether the model that is kept has another form than the one it began with."""
        return False

    def check(self, anatomy: Anatomy) -> None:
        """Raises MethodError, with the field to change, where the method doesn't fit a model like this."""

    def trainings(self) -> list[finetune.Spec]:
        """Every training of the run, in order."""
        return [self.training(self.retrain)] if self.retrain else []

    def training(self, part: Retrain, **changes: Any) -> finetune.Spec:
        """The spec of a training with these settings; a teacher is the model as it came. Raises ValidationError."""
        own = ("model", "data", "task", "tokenizer", "sequence_length", "packing", "eval_batches", "seed", "precision")
        settings = {name: getattr(part, name) for name in type(part).model_fields}
        if "teacher" in getattr(registry.method_of(part.objective).module, "NEEDS", ()):
            settings["teacher"] = self.model
        return finetune.Spec(
            kind="finetune", **{name: getattr(self, name) for name in own}, **settings, eval_before=False, **changes
        )
