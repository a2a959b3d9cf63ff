"""The job spec: what a run is asked to do, checked before it is queued. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationInfo, field_validator

from gpu_jobs import registry
from gpu_jobs.sources import BuiltinData, Data, DataSource, Form, ModelSource, Source, new_model

if TYPE_CHECKING:
    MethodKnobs: TypeAlias = registry.Knobs
    OptimizerKnobs: TypeAlias = registry.Knobs
    ScheduleKnobs: TypeAlias = registry.Knobs
    ObjectiveKnobs: TypeAlias = registry.Knobs
else:
    MethodKnobs = registry.union("strategies", "adapters")
    OptimizerKnobs = registry.union("optimizers")
    ScheduleKnobs = registry.union("schedules")
    ObjectiveKnobs = registry.union("objectives")

Task: TypeAlias = Literal["causal_lm", "masked_lm", "sequence_classification", "image_classification"]


class JobSpec(BaseModel):
    """What all kinds share: frozen, no unknown fields, told apart by `kind`."""

    model_config = ConfigDict(frozen=True, extra="forbid", **registry.DESCRIBED)

    kind: str


class ByteTokenizer(BaseModel):
    """Every byte is a token: no training, no unknown characters."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Bytes")

    name: Literal["byte"]


class BpeTokenizer(BaseModel):
    """Byte-pair encoding, trained on the run's own data."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="BPE")

    name: Literal["bpe"]
    vocab: int = Field(4096, ge=258, le=262_144, description="Number of tokens.", json_schema_extra={"log": True})


Tokenizer: TypeAlias = Annotated[ByteTokenizer | BpeTokenizer, Field(discriminator="name")]


def knob(default: Any, help_: str, group: str, **bounds: Any) -> Any:
    """A field of the generated form: its help, group and bounds; `advanced`, `unit` and `log` are hints for it."""
    hints: dict[str, Any] = {"group": group}
    hints |= {key: bounds.pop(key) for key in ("advanced", "unit", "log") if key in bounds}
    return Field(default, description=help_, json_schema_extra=hints, **bounds)


# Fields of more than one kind, which stand in another place of the form in each.
RETENTION_DATA: Any = knob(
    None,
    "A second data set on which the model is judged before and after, too: what it forgets. Unlearning keeps it.",
    "Objective",
    advanced=True,
)
EVAL_BATCHES: Any = knob(20, "Batches of the evaluation split that are used; 0: all.", "Evaluation", ge=0, le=1_000_000)
GENERATE: Any = knob(
    0,
    "Samples for which the finished model writes an answer: they are kept, and compared with the data's.",
    "Evaluation",
    ge=0,
    le=10_000,
    advanced=True,
)
GENERATE_TOKENS: Any = knob(64, "Longest answer that it writes, in tokens.", "Evaluation", ge=1, le=8192, advanced=True)
MOST_HISTOGRAMS = 1000  # the items that a series of media may have
SEED: Any = knob(0, "The same seed gives the same run.", "Optimization", ge=0, lt=2**32)
PRECISION: Any = knob(
    "auto", "auto: bf16 where the GPU has it, else fp32. Weights that are trained stay fp32.", "Hardware"
)


class Reading(JobSpec):
    """What the kinds share that put a model on data."""

    model: ModelSource = knob(..., "The model to start from, or to judge.", "Model")
    data: DataSource = knob(..., "What to train and evaluate on.", "Data")
    task: Literal["auto"] | Task = knob(
        "auto",
        "What the model learns; auto goes by the model and the data.",
        "Data",
        advanced=True,
        validate_default=True,
    )
    tokenizer: Tokenizer | None = knob(
        None, "For a new model; empty: bytes. A trained model brings its own.", "Data", advanced=True
    )
    sequence_length: int = knob(
        256, "Tokens per sample; longer text is packed or cut.", "Data", ge=2, le=1_048_576, validate_default=True
    )
    packing: Literal["auto", "joined", "isolated", "none"] = knob(
        "auto",
        "How samples fill a row of sequence_length. joined: text on text, cut anywhere. isolated: whole samples "
        "that do not see each other. none: one a row, padded. auto: joined for text, isolated for instructions.",
        "Data",
        advanced=True,
    )

    @property
    def resolved_task(self) -> Task:
        """The task, with auto decided by what the model can do, else by whether the data have labels."""
        return _task(self.task, self.model, self.data)

    @field_validator("sequence_length")
    @classmethod
    def _sequence_fits(cls, length: int, info: ValidationInfo) -> int:
        model = new_model(info.data["model"]) if "model" in info.data else None
        reads_text = "data" in info.data and not _is_images(info.data["data"])
        if model and reads_text and length > model.longest:
            raise ValueError(f"sequence_length must not exceed the model's context: {length} > {model.longest}")
        return length

    @field_validator("packing")
    @classmethod
    def _packing_fits(cls, packing: str, info: ValidationInfo) -> str:
        if all(field in info.data for field in ("model", "data", "task")):
            task = _task(info.data["task"], info.data["model"], info.data["data"])
            if packing not in _PACKINGS.get(task, ("auto",)):
                allowed = " or ".join(_PACKINGS.get(task, ("auto",)))
                raise ValueError(f"packing {packing!r} is not for task {task!r}: choose {allowed}")
        return packing

    @field_validator("task")
    @classmethod
    def _task_fits(cls, task: str, info: ValidationInfo) -> str:
        if "model" in info.data and "data" in info.data:
            _check_task(_task(task, info.data["model"], info.data["data"]), info.data["model"], info.data["data"])
        return task


class Training(Reading):
    """What the kinds that train share. One step is one update with `batch_size` samples, on however many GPUs."""

    teacher: ModelSource | None = knob(
        None, "A second model, for objectives that learn from one. Empty: none.", "Objective", advanced=True
    )
    retention_data: DataSource | None = RETENTION_DATA
    objective: ObjectiveKnobs = knob(
        {"name": "cross_entropy"}, "What is minimised.", "Objective", advanced=True, validate_default=True
    )
    method: MethodKnobs = knob({"name": "full"}, "Which weights are trained.", "Method", validate_default=True)
    optimizer: OptimizerKnobs = knob({"name": "adamw"}, "The update rule.", "Optimization", validate_default=True)
    schedule: ScheduleKnobs = knob(
        {"name": "cosine"}, "The learning rate over the steps.", "Optimization", validate_default=True
    )
    steps: int = knob(1000, "Updates of the weights.", "Optimization", ge=1, le=100_000_000)
    accumulation: int = knob(
        1,
        "Parts that a batch is worked through in, one after the other: less memory, the same result.",
        "Optimization",
        ge=1,
        le=65_536,
    )
    gpus: int = knob(1, "GPUs of one host.", "Hardware", ge=1, le=64)
    batch_size: int = knob(
        16,
        "Samples per update, over all GPUs and accumulated parts together.",
        "Optimization",
        ge=1,
        le=1_048_576,
        validate_default=True,
    )
    clip_norm: float = knob(
        1.0, "Longest allowed gradient; 0 never clips.", "Optimization", ge=0, le=1e6, advanced=True
    )
    eval_every: int = knob(100, "Steps between evaluations; 0: only at the end.", "Evaluation", ge=0, le=100_000_000)
    eval_batches: int = EVAL_BATCHES
    eval_before: bool = knob(False, "Judge the model before the first step, too.", "Evaluation", advanced=True)
    checkpoint_every: int = knob(
        500, "Steps between checkpoints; 0: only when stopped.", "Evaluation", ge=0, le=100_000_000
    )
    checkpoint_at_end: bool = knob(
        False,
        "Keep a checkpoint of the last step, too: another run can then go on from it.",
        "Evaluation",
        advanced=True,
    )
    report_test: bool = knob(
        False,
        "Judge the final model once on the test split, too, by as many batches as eval_batches says.",
        "Evaluation",
        advanced=True,
    )
    generate: int = GENERATE
    generate_tokens: int = GENERATE_TOKENS
    seed: int = SEED
    precision: Literal["auto", "fp32", "bf16"] = PRECISION
    gradient_checkpointing: bool = knob(
        False, "Compute activations twice to hold fewer: less memory, about a third slower.", "Hardware"
    )
    compile: bool = knob(False, "torch.compile: slow first step, faster later.", "Hardware", advanced=True)
    parallel: Literal["ddp", "fsdp"] = knob(
        "ddp", "With several GPUs: ddp holds the model on each; fsdp shares it out.", "Hardware", advanced=True
    )
    histograms_every: int = knob(
        0,
        "Steps between histograms of the trained weights and their gradients; 0: none.",
        "Evaluation",
        ge=0,
        le=100_000_000,
        advanced=True,
    )

    @property
    def form(self) -> Form | Literal["auto"]:
        """In which form the objective reads the data; auto where it takes text and instructions alike."""
        forms = registry.method_of(self.objective).module.FORMS
        return "auto" if "text" in forms else forms[0]

    @property
    def micro_batch(self) -> int:
        """Samples that one GPU works on at once."""
        return self.batch_size // (self.accumulation * self.gpus)

    @field_validator("batch_size")
    @classmethod
    def _batch_divides(cls, batch_size: int, info: ValidationInfo) -> int:
        accumulation, gpus = info.data.get("accumulation", 1), info.data.get("gpus", 1)
        if batch_size % (accumulation * gpus):
            raise ValueError(
                f"batch_size must be a multiple of accumulation x gpus: {batch_size} is not a multiple of "
                f"{accumulation} x {gpus} = {accumulation * gpus}"
            )
        return batch_size

    @field_validator("parallel")
    @classmethod
    def _can_share_out(cls, parallel: str, info: ValidationInfo) -> str:
        optimizer, gpus = info.data.get("optimizer"), info.data.get("gpus", 1)
        if parallel == "ddp" or gpus == 1 or optimizer is None:
            return parallel
        if getattr(registry.method_of(optimizer).module, "NEEDS_WHOLE_MATRICES", False):
            raise ValueError(f"parallel must be ddp with optimizer {optimizer.name!r}, which needs whole matrices")
        return parallel

    @field_validator("histograms_every")
    @classmethod
    def _can_draw(cls, histograms_every: int, info: ValidationInfo) -> int:
        steps = info.data.get("steps", 0)
        if histograms_every and steps > histograms_every * MOST_HISTOGRAMS:
            least = -(-steps // MOST_HISTOGRAMS)
            raise ValueError(f"histograms_every must be 0 or at least {least}: a run has {MOST_HISTOGRAMS:,} of each")
        if histograms_every and info.data.get("parallel") == "fsdp" and info.data.get("gpus", 1) > 1:
            raise ValueError("histograms_every must be 0 with parallel fsdp, which holds no weight whole")
        return histograms_every

    @field_validator("report_test")
    @classmethod
    def _has_test(cls, report_test: bool, info: ValidationInfo) -> bool:
        if report_test and "data" in info.data and not info.data["data"].has_test:
            raise ValueError("report_test needs a test split: set data.test_fraction, to 0.1 for example")
        return report_test

    @field_validator("objective")
    @classmethod
    def _objective_fits(cls, objective: registry.Knobs, info: ValidationInfo) -> registry.Knobs:
        module = registry.method_of(objective).module
        if all(field in info.data for field in ("model", "data", "task")):
            task = _task(info.data["task"], info.data["model"], info.data["data"])
            if task not in module.TASKS:
                raise ValueError(f"objective {objective.name!r} is for task {' or '.join(module.TASKS)}, not {task!r}")
            there = info.data["data"].forms()
            if there is not None and not there & set(module.FORMS):
                raise ValueError(
                    f"objective {objective.name!r} needs data of the form {' or '.join(module.FORMS)}, and these are "
                    f"{' or '.join(sorted(there))}"
                )
        for field in getattr(module, "NEEDS", ()):
            if info.data.get(field) is None:
                raise ValueError(f"objective {objective.name!r} needs {field}: name it")
        return objective


_PACKINGS: dict[Task, tuple[str, ...]] = {  # an encoder would see the sample beside its own
    "causal_lm": ("auto", "joined", "isolated", "none"),
    "masked_lm": ("auto", "joined", "none"),
}


def _is_images(data: Source) -> bool:
    return isinstance(data, BuiltinData) and data.name == "digits"


def _task(task: Task | str, model: Source, data: Source) -> Task:
    if task != "auto":
        return cast("Task", task)
    if _is_images(data):
        return "image_classification"
    new = new_model(model)
    if getattr(data, "label_column", None) or (isinstance(data, BuiltinData) and data.has_labels):
        return "sequence_classification"
    if new and new.model_type == "bert":
        return "masked_lm" if isinstance(data, BuiltinData) else "sequence_classification"
    return "causal_lm"


def _check_task(task: Task, model: Source, data: Data) -> None:
    """Raises ValueError when the data or the architecture can't serve the task."""
    if _is_images(data) != (task == "image_classification"):
        raise ValueError(f"task {task!r} does not fit these data: choose auto")
    new = new_model(model)
    if new and task not in new.tasks:
        raise ValueError(
            f"model architecture {new.model_type!r} can't do task {task!r}: it does {' or '.join(new.tasks)}"
        )
    if isinstance(data, BuiltinData) and task == "sequence_classification" and not data.has_labels:
        raise ValueError(f"task {task!r} needs data with labels: data {data.name!r} has none")
    if task not in ("causal_lm", "image_classification") and "text" not in (data.forms() or {"text"}):
        raise ValueError(f"task {task!r} needs plain text: these data hold prompts and answers")


@cache
def _adapter() -> TypeAdapter[JobSpec]:
    specs: Any = Union[tuple(kind.spec for kind in registry.kinds().values())]  # noqa: UP007 - built from a list
    return TypeAdapter(Annotated[specs, Field(discriminator="kind")])


def parse(data: Mapping[str, Any]) -> JobSpec:
    """The spec of any kind. Raises pydantic's ValidationError, which names each field and rule."""
    return _adapter().validate_python(dict(data))


def schema(kind: str) -> dict[str, Any]:
    """The JSON schema of a kind, from which forms and the API's documentation are made. Raises KeyError."""
    return registry.kinds()[kind].spec.model_json_schema()


def references(spec: JobSpec) -> list[str]:
    """The inputs that must be fetched for it first, like "run:1" and "upload:3", each once, wherever it names them."""
    found = [source.reference() for source in _sources(spec)]
    return list(dict.fromkeys(reference for reference in found if reference))


def _sources(value: object) -> Iterator[Source]:
    """Every source that a field, a list or a model inside holds, in the order in which they stand."""
    if isinstance(value, Source):
        yield value
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _sources(getattr(value, field))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _sources(item)
