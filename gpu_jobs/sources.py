"""Where a model and its data come from, as a spec names them. Free of torch: forms, plans and the API read these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gpu_jobs import registry

if TYPE_CHECKING:
    ArchitectureKnobs: TypeAlias = Any
else:
    ArchitectureKnobs = registry.union("architectures")

CAUSAL = ("llama", "gpt2")
ARCHITECTURES = ("llama", "gpt2", "bert", "vit")
# What a sample of text is: a text; a prompt with its answer; a prompt with a better and a worse answer; a prompt alone.
Form: TypeAlias = Literal["text", "instruction", "preference", "prompts"]


class Source(BaseModel):
    """What all sources share: they are frozen, refuse unknown fields, and name the input they need, if any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def reference(self) -> str | None:
        """The input that must be fetched before the job starts ("run:12", "upload:3"), or None."""
        return None


class ConfigModel(Source):
    """A new model with random weights, built by transformers from these sizes."""

    model_config = ConfigDict(title="New model")

    source: Literal["config"] = "config"
    architecture: Literal["llama", "gpt2", "bert", "vit"] = Field(
        "llama",
        description="llama and gpt2 write text; bert classifies text or fills in masked tokens; vit classifies images.",
    )
    layers: int = Field(4, ge=1, le=256, description="Transformer blocks.")
    width: int = Field(128, ge=8, le=32768, description="Size of the residual stream; a multiple of heads.")
    heads: int = Field(4, ge=1, le=512, description="Attention heads per layer.")
    kv_heads: int | None = Field(
        None,
        ge=1,
        le=512,
        description="Key/value heads (grouped-query attention, llama only). Empty: as many as heads.",
    )
    ffn: int | None = Field(
        None,
        ge=8,
        le=131072,
        description="Width of the feed-forward layer. Empty: for llama 8/3 width, rounded up to a multiple of 8, "
        "for the others 4 x width.",
    )
    vocab: int | None = Field(
        None, ge=2, le=1_000_000, description="Rows of the embedding. Empty: as many as the tokenizer has tokens."
    )
    context: int = Field(1024, ge=8, le=1_048_576, description="The longest sequence it can read, in tokens.")
    tie_embeddings: bool = Field(True, description="Use one matrix for the embedding and the output layer.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout in attention and residual branches (not llama).")
    image_size: int = Field(8, ge=1, le=4096, description="Height and width of an image in pixels (vit only).")
    patch_size: int = Field(2, ge=1, le=4096, description="Height and width of a patch in pixels (vit only).")
    channels: int = Field(1, ge=1, le=16, description="Colour channels of an image (vit only).")

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(
                f"width must be a multiple of heads: {self.width} is not a multiple of {self.heads}; "
                f"{self.width - self.width % self.heads or self.heads} or "
                f"{self.width - self.width % self.heads + self.heads} is"
            )
        self._check_llama()
        if self.architecture == "vit" and self.image_size % self.patch_size:
            raise ValueError(
                f"image_size must be a multiple of patch_size: {self.image_size} is not one of {self.patch_size}"
            )
        return self

    def _check_llama(self) -> None:
        if self.architecture != "llama":
            if self.kv_heads is not None:
                raise ValueError(f"kv_heads is for llama only: leave it out for {self.architecture}")
            return
        if (self.width // self.heads) % 2:
            raise ValueError(
                f"width / heads must be even for llama's rotary positions: {self.width} / {self.heads} = "
                f"{self.width // self.heads}"
            )
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(f"kv_heads must divide heads: {self.kv_heads} does not divide {self.heads}")

    @property
    def model_type(self) -> str:
        """transformers' name of it."""
        return self.architecture

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it can learn."""
        return _TASKS[self.architecture]

    @property
    def longest(self) -> int:
        """Tokens of the longest text that it can read."""
        return self.context

    @property
    def ffn_width(self) -> int:
        """The feed-forward width, given or by the architecture's rule."""
        if self.ffn is not None:
            return self.ffn
        return -(-8 * self.width // 24) * 8 if self.architecture == "llama" else 4 * self.width

    def config(self, *, vocab_size: int, labels: int | None = None) -> dict[str, Any]:
        """The fields of transformers' config.json (with `model_type`): what is built, and what a plan counts.

        `vocab_size` is used where `vocab` is empty; `labels` is the number of classes of a classifier, else None.
        """
        fields = _CONFIGS[self.architecture](self)
        if self.architecture != "vit":
            fields |= {"vocab_size": self.vocab or vocab_size, "tie_word_embeddings": self.tie_embeddings}
        if labels is not None:
            fields["num_labels"] = labels
        return {"model_type": self.architecture, **fields}


def _llama(model: ConfigModel) -> dict[str, Any]:
    return {
        "num_hidden_layers": model.layers,
        "hidden_size": model.width,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads or model.heads,
        "intermediate_size": model.ffn_width,
        "max_position_embeddings": model.context,
    }


def _gpt2(model: ConfigModel) -> dict[str, Any]:
    return {
        "n_layer": model.layers,
        "n_embd": model.width,
        "n_head": model.heads,
        "n_inner": model.ffn_width,
        "n_positions": model.context,
        "resid_pdrop": model.dropout,
        "embd_pdrop": model.dropout,
        "attn_pdrop": model.dropout,
    }


def _encoder(model: ConfigModel) -> dict[str, Any]:
    return {
        "num_hidden_layers": model.layers,
        "hidden_size": model.width,
        "num_attention_heads": model.heads,
        "intermediate_size": model.ffn_width,
        "hidden_dropout_prob": model.dropout,
        "attention_probs_dropout_prob": model.dropout,
    }


def _bert(model: ConfigModel) -> dict[str, Any]:
    return _encoder(model) | {"max_position_embeddings": model.context}


def _vit(model: ConfigModel) -> dict[str, Any]:
    return _encoder(model) | {
        "image_size": model.image_size,
        "patch_size": model.patch_size,
        "num_channels": model.channels,
    }


_CONFIGS = {"llama": _llama, "gpt2": _gpt2, "bert": _bert, "vit": _vit}
_TASKS: dict[str, tuple[str, ...]] = {
    "llama": ("causal_lm", "sequence_classification"),
    "gpt2": ("causal_lm", "sequence_classification"),
    "bert": ("sequence_classification", "masked_lm"),
    "vit": ("image_classification",),
}


class ArchitectureModel(Source):
    """A new model of one of the library's own architectures, with random weights."""

    model_config = ConfigDict(title="New model, own architecture")

    source: Literal["library"] = "library"
    architecture: ArchitectureKnobs = Field(description="Which one, and how large.")

    @property
    def model_type(self) -> str:
        """Its file's name, which config.json bears, too."""
        return str(self.architecture.name)

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it can learn."""
        tasks: tuple[str, ...] = registry.method_of(self.architecture).module.TASKS
        return tasks

    @property
    def longest(self) -> int:
        """Tokens of the longest text that it can read."""
        return int(self.architecture.context)

    def config(self, *, vocab_size: int, labels: int | None = None) -> dict[str, Any]:
        """The fields of config.json, as for `ConfigModel`."""
        module = registry.method_of(self.architecture).module
        found: dict[str, Any] = module.config(self.architecture, vocab_size=vocab_size, labels=labels)
        return found


BUILTIN_MODELS: dict[str, ConfigModel] = {
    "nano": ConfigModel(architecture="llama", layers=2, width=64, heads=4, context=512),
    "micro": ConfigModel(architecture="llama", layers=4, width=256, heads=8, context=1024),
    "small": ConfigModel(architecture="llama", layers=12, width=768, heads=12, context=2048),
    "nano-bert": ConfigModel(architecture="bert", layers=2, width=64, heads=4, context=512),
    "nano-vit": ConfigModel(architecture="vit", layers=4, width=64, heads=4, image_size=8, patch_size=2),
}


class BuiltinModel(Source):
    """A named size with random weights: a quick start."""

    model_config = ConfigDict(title="Built-in size")

    source: Literal["builtin"] = "builtin"
    name: Literal["nano", "micro", "small", "nano-bert", "nano-vit"] = Field(
        "nano",
        description="nano, micro and small are llamas (2 x 64, 4 x 256 and 12 x 768); nano-bert classifies text; "
        "nano-vit classifies the 8 x 8 digits.",
    )


class RunModel(Source):
    """The model that an earlier run has trained."""

    model_config = ConfigDict(title="Earlier run")

    source: Literal["run"] = "run"
    run: int = Field(ge=1, description="The number of the run whose final model is the base.")

    def reference(self) -> str | None:
        return f"run:{self.run}"


class PathModel(Source):
    """A folder that `save_pretrained` has written, on the machine that trains."""

    model_config = ConfigDict(title="Folder")

    source: Literal["path"] = "path"
    path: str = Field(
        min_length=1,
        max_length=4096,
        description="A folder with config.json and .safetensors files (or a PEFT adapter), as the worker sees it. "
        "Inside HONE_DATA_ROOT where the worker sets it.",
    )


HUB_ID = r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$"


class HubModel(Source):
    """A model of the Hugging Face hub. No remote code is run, and only safetensors are read."""

    model_config = ConfigDict(title="Hugging Face model")

    source: Literal["hub"] = "hub"
    id: str = Field(max_length=200, pattern=HUB_ID, description="For example EleutherAI/pythia-70m.")
    revision: str | None = Field(
        None, max_length=200, pattern=r"^[\w./-]+$", description="A branch, tag or commit. Empty: the main branch."
    )

    def __str__(self) -> str:
        return self.id


ModelSource = Annotated[
    ConfigModel | ArchitectureModel | BuiltinModel | RunModel | PathModel | HubModel,
    Field(discriminator="source", title="Model"),
]
NewModel: TypeAlias = ConfigModel | ArchitectureModel


def new_model(source: Source) -> NewModel | None:
    """The sizes of a model that has no weights yet (config, library, builtin), or None for one that is loaded."""
    if isinstance(source, BuiltinModel):
        return BUILTIN_MODELS[source.name]
    return source if isinstance(source, NewModel) else None


class Data(Source):
    """What every data source can be asked."""

    eval_fraction: float = Field(
        0.1, gt=0, le=0.5, description="Share kept for evaluation; chosen by content, the same for every seed."
    )
    test_fraction: float = Field(
        0,
        ge=0,
        le=0.5,
        description="Share held out from training and evaluation; judged only once, at the end, when report_test asks "
        "for it. eval_fraction is of the rest.",
    )
    chat_template: str | None = Field(
        None,
        min_length=1,
        max_length=50_000,
        description="A Jinja template that renders messages (role, content) as text. Empty: the tokenizer's own, else "
        "Hone's. With it, a prompt and its answer are rendered as messages, too; without it, they follow each other.",
        json_schema_extra={"advanced": True},
    )

    def forms(self) -> frozenset[Form] | None:
        """The forms in which the samples can be had, or None where that is seen only when the data are read."""
        return frozenset({"text"})

    def shares(self) -> dict[str, float]:
        """The shares that "eval" and, where one is wanted, "test" are to have of the data."""
        return {"eval": self.eval_fraction} | ({"test": self.test_fraction} if self.test_fraction else {})

    @property
    def has_test(self) -> bool:
        """Whether there is a test split."""
        return self.test_fraction > 0


def _column(help_: str) -> Any:
    """A column of which few data sets need to be told."""
    return Field(None, min_length=1, max_length=200, description=help_, json_schema_extra={"advanced": True})


class Table(Data):
    """Data of one's own: which columns hold what."""

    format: Literal["auto", "text", "csv", "jsonl", "parquet"] = Field(
        "auto", description="auto goes by the file's ending, then by its first bytes."
    )
    text_column: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="The column with the text. Empty: 'text', or the only one of text.",
    )
    label_column: str | None = Field(
        None, min_length=1, max_length=200, description="The column with the class. Empty: 'label'."
    )
    prompt_column: str | None = _column(
        "The column with the prompt, text or a list of messages. Empty: 'prompt', 'instruction' or 'question'."
    )
    answer_column: str | None = _column(
        "The column with the answer to the prompt. Empty: 'answer', 'output', 'response' or 'completion'."
    )
    messages_column: str | None = _column(
        "The column with a list of messages, each with role (system, user, assistant) and content. Empty: 'messages'."
    )
    chosen_column: str | None = _column(
        "The column with the better answer, text or a list of messages. Empty: 'chosen'."
    )
    rejected_column: str | None = _column("The column with the worse answer. Empty: 'rejected'.")

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        if self.messages_column and (self.prompt_column or self.answer_column):
            raise ValueError(
                "messages_column holds prompts and answers alike: leave prompt_column and answer_column empty, or it"
            )
        for one, other in (("chosen_column", "rejected_column"), ("rejected_column", "chosen_column")):
            if getattr(self, one) and not getattr(self, other):
                raise ValueError(f"{one} goes with {other}: name both, or neither")
        return self

    def forms(self) -> frozenset[Form] | None:
        named: set[Form] = set()
        if self.format == "text" or self.text_column or self.label_column:
            named |= {"text"}
        if self.messages_column or self.answer_column:
            named |= {"instruction", "prompts"}
        if self.chosen_column:
            named |= {"preference", "prompts"}
        return frozenset(named) or None


class BuiltinData(Data):
    """Real text and images that every machine has."""

    model_config = ConfigDict(title="Built-in data")

    source: Literal["builtin"] = "builtin"
    name: Literal["language-reference", "stdlib-source", "topic-questions", "stdlib-packages", "digits"] = Field(
        "language-reference",
        description="language-reference: Python's language reference, 465,000 characters of English. stdlib-source: "
        "source code of the standard library, up to 8 million characters. topic-questions: about 400 questions on 79 "
        "topics of the reference with their answers, and answers that belong to other topics. stdlib-packages: 3,200 "
        "snippets of code from 8 packages, to be told apart. digits: 1,797 handwritten digits of 8 x 8 pixels.",
    )

    def forms(self) -> frozenset[Form] | None:
        return frozenset({"instruction", "preference", "prompts"} if self.name == "topic-questions" else {"text"})

    @property
    def has_labels(self) -> bool:
        """Whether each sample has a class."""
        return self.name in ("stdlib-packages", "digits")


class PathData(Table):
    """A file or a folder on the machine that trains."""

    model_config = ConfigDict(title="File or folder")

    source: Literal["path"] = "path"
    path: str = Field(
        min_length=1,
        max_length=4096,
        description="A text, CSV, JSONL or Parquet file, or a folder of such files, as the worker sees it. Inside "
        "HONE_DATA_ROOT where the worker sets it.",
    )
    eval_path: str | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="Evaluate on this file or folder; eval_fraction is then ignored.",
    )
    test_path: str | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="The test split is this file or folder; test_fraction is then ignored.",
    )

    @property
    def has_test(self) -> bool:
        return super().has_test or self.test_path is not None


class UploadData(Table):
    """A file that was uploaded to the project."""

    model_config = ConfigDict(title="Upload")

    source: Literal["upload"] = "upload"
    upload: int = Field(ge=1, description="The number of the upload.")

    def reference(self) -> str | None:
        return f"upload:{self.upload}"


class HubData(Table):
    """A data set of the Hugging Face hub. No remote code is run."""

    model_config = ConfigDict(title="Hugging Face data set")

    source: Literal["hub"] = "hub"
    id: str = Field(max_length=200, pattern=HUB_ID, description="For example roneneldan/TinyStories.")
    revision: str | None = Field(
        None, max_length=200, pattern=r"^[\w./-]+$", description="A branch, tag or commit. Empty: the main branch."
    )
    configuration: str | None = Field(None, max_length=200, description="The subset, where the data set has several.")
    split: str = Field("train", max_length=200, pattern=r"^[\w.-]+$", description="The split to train on.")
    eval_split: str | None = Field(
        None,
        max_length=200,
        pattern=r"^[\w.-]+$",
        description="The split to evaluate on; empty: eval_fraction of the training split.",
    )
    test_split: str | None = Field(
        None,
        max_length=200,
        pattern=r"^[\w.-]+$",
        description="The test split; empty: test_fraction of the training split.",
    )

    @property
    def has_test(self) -> bool:
        return super().has_test or self.test_split is not None


DataSource = Annotated[BuiltinData | PathData | UploadData | HubData, Field(discriminator="source", title="Data")]
