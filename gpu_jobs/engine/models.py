"""Builds the model that a spec names, and finds its tokenizer. Only safetensors are read and no remote code is run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gpu_jobs.context import Context
from gpu_jobs.engine import adapters, architectures, compressed, folders
from gpu_jobs.engine.folders import Folder
from gpu_jobs.errors import DataError, MethodError, ModelError
from gpu_jobs.outcomes import is_out_of_memory
from gpu_jobs.sources import HubModel, NewModel, Source, new_model

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

    from gpu_jobs.engine.data import Data

CLASSES = {
    "causal_lm": "AutoModelForCausalLM",
    "masked_lm": "AutoModelForMaskedLM",
    "sequence_classification": "AutoModelForSequenceClassification",
    "image_classification": "AutoModelForImageClassification",
}
# These read in both directions: asked to predict the next token they would simply see it.
ENCODERS = {
    "albert", "bert", "camembert", "data2vec-text", "deberta", "deberta-v2", "distilbert", "electra", "ernie",
    "megatron-bert", "modernbert", "mpnet", "rembert", "roberta", "roformer", "vit", "xlm-roberta", "xlm-roberta-xl",
}  # fmt: skip


def build(
    source: Source | Folder,
    *,
    context: Context,
    seed: int,
    task: str,
    vocab_size: int,
    labels: list[str] | None,
    pad_token_id: int | None = None,
    dtype: torch.dtype | None = None,
    merge: bool = True,
) -> PreTrainedModel:
    """The model on the CPU, in fp32 unless `dtype` says otherwise; new weights are decided by `seed` alone.

    A base that is an adapter is merged, so that the result is a plain model, or with `merge` off stays on the merged
    model below it. Raises ModelError, and DataError when the
    classes of the base and of the data do not match.
    """
    import torch

    if task not in CLASSES:
        raise ModelError(f"task {task!r} is unknown: choose one of {', '.join(CLASSES)}")
    architectures.register()
    new = new_model(source) if isinstance(source, Source) else None
    with _seeded(seed), _quiet():
        if new is not None:
            model = _initialise(new, task, vocab_size, labels, dtype or torch.float32)
        else:
            model = _load(_base(source, context), context, task, labels, dtype or torch.float32, merge=merge)
            _check_vocabulary(model.config, vocab_size)
    if task == "sequence_classification" and model.config.pad_token_id is None:
        model.config.pad_token_id = _padding(source, context) if pad_token_id is None else pad_token_id
    return model


def plain(base: Folder | HubModel, context: Context, task: str | None, labels: list[str] | None, place: Path) -> None:
    """Writes a model as a folder of its own, in the numbers it has: an adapter merged into its base, by its task."""
    architectures.register()
    with _quiet():
        if task is None:
            task = task_of((_read_config(base, None).architectures or [""])[0])
        _load(base, context, task or "causal_lm", labels, "auto").save_pretrained(place)
    tokenizer = tokenizer_of(base, context)
    if tokenizer is not None:
        tokenizer.save_pretrained(place)


def task_of(architecture: str) -> str | None:
    """What a model does, by the head in its class's name ("LlamaForCausalLM"); None for one that is not judged here."""
    if architecture.endswith("LMHeadModel"):
        return "causal_lm"
    return next((task for task, auto in CLASSES.items() if architecture.endswith(auto.removeprefix("AutoModel"))), None)


def build_for(
    spec: Any, context: Context, loaded: Data, source: Source | None = None, *, merge: bool = True
) -> PreTrainedModel:
    """The spec's model, or that of another source, for the spec's task on these data; as `build`."""
    return build(
        source or spec.model,
        context=context,
        seed=spec.seed,
        task=spec.resolved_task,
        vocab_size=loaded.vocab_size,
        labels=loaded.labels,
        pad_token_id=getattr(loaded.tokenizer, "pad_token_id", None),
        merge=merge,
    )


def _padding(source: Source | Folder, context: Context) -> int | None:
    """Decoders classify by the last token that is not padding, so they must know which one that is."""
    tokenizer = tokenizer_of(source, context)
    return None if tokenizer is None else tokenizer.pad_token_id


def tokenizer_of(source: Source | Folder, context: Context) -> PreTrainedTokenizerFast | None:
    """The tokenizer that the base model brings: None for a new model, and for one that has none (vision)."""
    if isinstance(source, Source) and new_model(source) is not None:
        return None
    base = _base(source, context)
    if isinstance(base, HubModel):
        return _read_tokenizer(base)
    return tokenizer_at(folders.with_tokenizer(base, context), context)


def tokenizer_for(spec: Any, context: Context) -> Any:
    """What cuts a spec's data: the base model's own tokenizer, else the one asked for, else bytes; None of images.

    Raises MethodError when both are there.
    """
    if spec.resolved_task == "image_classification":
        return None
    own = tokenizer_of(spec.model, context)
    if own is not None and spec.tokenizer is not None:
        raise MethodError("tokenizer must be left empty here: the base model was trained with its own.")
    return own or (spec.tokenizer.model_dump() if spec.tokenizer else {"name": "byte"})


def tokenizer_at(holder: Folder | Source | None, context: Context) -> PreTrainedTokenizerFast | None:
    """The tokenizer in a folder or of another source, None where there is none."""
    if isinstance(holder, Source):
        return tokenizer_of(holder, context)
    return None if holder is None else _read_tokenizer(holder)


def _base(source: Source | Folder, context: Context) -> Folder | HubModel:
    return source if isinstance(source, HubModel | Folder) else folders.find(source, context)


def _read_tokenizer(base: Folder | HubModel) -> PreTrainedTokenizerFast:
    from transformers import AutoTokenizer

    architectures.register()  # it reads the model's config.json, too
    where, options = _where(base)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(where, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(f"the tokenizer of {base} can't be read: {_line(error)}; save it beside the model") from error
    if not tokenizer.is_fast:
        raise ModelError(f"the tokenizer of {base} has no tokenizer.json: save it as a fast tokenizer")
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token
    found: PreTrainedTokenizerFast = tokenizer
    return found


def _where(base: Folder | HubModel) -> tuple[str, dict[str, Any]]:
    if isinstance(base, Folder):
        return str(base.path), {"local_files_only": True}
    return base.id, {"revision": base.revision or "main"}


def _initialise(
    new: NewModel, task: str, vocab_size: int, labels: list[str] | None, dtype: torch.dtype
) -> PreTrainedModel:
    import transformers

    fields = new.config(vocab_size=vocab_size, labels=None if labels is None else len(labels))
    fields.pop("num_labels", None)
    config = transformers.AutoConfig.for_model(fields.pop("model_type"), **fields, **_naming(labels))
    _check_direction(config, task)
    _check_vocabulary(config, vocab_size)
    if vocab_size:  # not of images
        config.bos_token_id = config.eos_token_id = vocab_size - 2  # as in our tokenizers
        config.pad_token_id = vocab_size - 1
    try:
        model: PreTrainedModel = getattr(transformers, CLASSES[task]).from_config(config, dtype=dtype)
    except ValueError as error:
        raise ModelError(f"{new.model_type} can't be built for task {task!r}: {_line(error)}") from error
    return model


def _naming(labels: list[str] | None) -> dict[str, Any]:
    if labels is None:
        return {}
    return {"id2label": dict(enumerate(labels)), "label2id": {name: number for number, name in enumerate(labels)}}


def _check_direction(config: PreTrainedConfig, task: str) -> None:
    if task == "causal_lm" and config.model_type in ENCODERS and not getattr(config, "is_decoder", False):
        raise ModelError(
            f"{config.model_type} reads text in both directions and can't learn to predict the next token: choose a "
            "decoder such as llama or gpt2, or task sequence_classification"
        )


def _check_vocabulary(config: PreTrainedConfig, vocab_size: int) -> None:
    rows = getattr(config, "vocab_size", None)
    if rows is not None and rows < vocab_size:
        raise ModelError(
            f"the model has {rows:,} embeddings but the tokenizer has {vocab_size:,} tokens: leave model.vocab empty, "
            "or set it to at least that"
        )


def _load(
    base: Folder | HubModel,
    context: Context,
    task: str,
    labels: list[str] | None,
    dtype: torch.dtype | Literal["auto"],
    *,
    merge: bool = True,
) -> PreTrainedModel:
    if isinstance(base, Folder) and base.is_adapter:
        return _adapter(base, context, task, labels, dtype, merge=merge)
    if isinstance(base, Folder):
        folders.check_weights(base)
    config = _read_config(base, labels)
    _check_direction(config, task)
    if isinstance(base, Folder) and compressed.is_compressed(base.path):
        found: PreTrainedModel = compressed.plain_codes(_read_compressed(base, config, task, dtype))
        return found
    return _read_weights(base, config, task, dtype)


def _read_compressed(
    base: Folder, config: PreTrainedConfig, task: str, dtype: torch.dtype | Literal["auto"]
) -> PreTrainedModel:
    """With its layers of another form."""
    import transformers

    made: Any = getattr(transformers, CLASSES[task])
    model: PreTrainedModel = made.from_config(config, **({} if dtype == "auto" else {"dtype": dtype}))
    _check_complete(base, model, task, compressed.restore(base.path, model))
    return model


def read_folder(path: Path, context: Context, task: str, labels: list[str] | None) -> Any:
    """The model of a folder that was just written, in fp32, its codes as they are stored. Raises ModelError."""
    import torch

    with _quiet(), torch.random.fork_rng(devices=[]):
        if compressed.is_compressed(path):
            return _read_compressed(Folder(path), _read_config(Folder(path), labels), task, torch.float32)
        return _load(Folder(path), context, task, labels, torch.float32)


def _adapter(
    adapter: Folder,
    context: Context,
    task: str,
    labels: list[str] | None,
    dtype: torch.dtype | Literal["auto"],
    *,
    merge: bool,
) -> PreTrainedModel:
    with explained(adapter):
        whole = adapt(adapter, context, task, labels, dtype)
        merged: PreTrainedModel = adapters.merge(whole) if merge else whole
    return merged.requires_grad_(True)


def adapt(
    adapter: Folder, context: Context, task: str, labels: list[str] | None, dtype: torch.dtype | Literal["auto"]
) -> Any:
    """The base of an adapter with the adapter on it; "auto" leaves the base the numbers it has."""
    folders.check_weights(adapter)
    below = folders.base_of(adapter, context)
    model = _load(_base(below, context) if isinstance(below, Source) else below, context, task, labels, dtype)
    return _adapted(adapter, model)


@contextlib.contextmanager
def explained(adapter: Folder) -> Iterator[None]:
    """Whatever goes wrong with an adapter that someone else may have written is a ModelError."""
    from safetensors import SafetensorError

    try:
        yield
    except MethodError as error:
        raise ModelError(f"{error} Evaluate the adapter {adapter}, or start from its base.") from error
    except (ValueError, TypeError, KeyError, RuntimeError, OSError, AttributeError, SafetensorError) as error:
        _pass_on_out_of_memory(error)
        raise ModelError(f"the adapter {adapter} can't be merged into its base: {_line(error)}") from error


def _adapted(adapter: Folder, model: PreTrainedModel) -> Any:
    """The model with the adapter of this folder on it."""
    from peft import PeftConfig, PeftModel

    if (adapter.path / adapters.CONFIG).is_file():
        return adapters.load(adapter.path, model)
    config = PeftConfig.from_pretrained(str(adapter.path))
    config.task_type = None  # its task need not be the one it is merged for
    return PeftModel.from_pretrained(model, str(adapter.path), config=config, is_trainable=False)


def _read_config(base: Folder | HubModel, labels: list[str] | None) -> Any:
    from transformers import AutoConfig

    where, options = _where(base)
    try:
        config: Any = AutoConfig.from_pretrained(where, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the model {base} can't be read: {_line(error)}; {_remedy(base)}") from error
    if "/" in str(config._attn_implementation):
        raise ModelError(f"the model {base} asks for code from elsewhere ({config._attn_implementation}): remove that")
    if labels is not None:
        _fit_labels(config, labels, base)
    return config


def _remedy(base: Folder | HubModel) -> str:
    if isinstance(base, HubModel):
        return "check its id and revision, and that this worker has a network"
    return "choose a folder written by save_pretrained, of an architecture that transformers knows"


def _fit_labels(config: Any, labels: list[str], base: Folder | HubModel) -> None:
    """A base that classifies keeps its head and must have the classes of the data; another gets a new head."""
    if "Classification" in "".join(config.architectures or ()):
        theirs = [config.id2label[number] for number in sorted(config.id2label)]
        named = not all(name.startswith("LABEL_") or name.isdecimal() for name in theirs)
        if len(theirs) != len(labels) or (named and theirs != labels):
            raise DataError(
                f"the model {base} has {len(theirs)} classes ({', '.join(theirs[:5])}) and the data have {len(labels)} "
                f"({', '.join(labels[:5])}): use data with the same classes in the same order, or a base without a head"
            )
    config.num_labels = len(labels)
    config.id2label, config.label2id = _naming(labels).values()


def _read_weights(
    base: Folder | HubModel, config: PreTrainedConfig, task: str, dtype: torch.dtype | Literal["auto"]
) -> PreTrainedModel:
    import transformers
    from safetensors import SafetensorError

    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")  # else it asks a service to convert pickles
    where, options = _where(base)
    try:
        loaded = getattr(transformers, CLASSES[task]).from_pretrained(
            where, config=config, dtype=dtype, use_safetensors=True, trust_remote_code=False,
            output_loading_info=True, **options,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        _pass_on_out_of_memory(error)
        raise ModelError(f"the weights of {base} can't be read: {_line(error)}; {_remedy(base)}") from error
    model: PreTrainedModel = loaded[0]
    _check_complete(base, model, task, sorted(loaded[1]["missing_keys"]))
    return model


def _check_complete(base: Folder | HubModel, model: PreTrainedModel, task: str, missing: list[str]) -> None:
    """A new classification head starts at random; anything else that is missing would silently do so, too."""
    if task != "causal_lm":
        prefix = f"{model.base_model_prefix}."
        missing = [name for name in missing if name.startswith(prefix) and ".pooler." not in name]
    if missing:
        raise ModelError(
            f"the weights of {base} are not complete for task {task!r}: {', '.join(missing[:3])} "
            f"{'is' if len(missing) == 1 else 'are'} missing; choose a model that was trained for it"
        )


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """New weights come from `seed`; the generator of the process goes on as if nothing had been drawn."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no report of the new head that was asked for."""
    import transformers.utils.logging as named

    logging: Any = named

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _pass_on_out_of_memory(error: BaseException) -> None:
    if is_out_of_memory(error):
        raise error


def _line(error: BaseException) -> str:
    """The message of an error on one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300].rstrip(".")
