"""`load`: from a data source in a spec to batches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpu_jobs.context import Context
from gpu_jobs.engine.data import cache, images, tokenizers
from gpu_jobs.engine.data.corpus import Classified, Corpus
from gpu_jobs.engine.data.packing import Packed, pack_classes, pack_text
from gpu_jobs.engine.data.sources import open_corpus
from gpu_jobs.engine.data.splits import Data, Split, TextSplit, TokenSplit
from gpu_jobs.engine.data.tables import name_of, number_classes
from gpu_jobs.engine.data.tokenizers import Encoder
from gpu_jobs.errors import DataError
from gpu_jobs.sources import Data as DataOptions

FORMAT = 1  # raise when the meaning of the packed files changes
WORDS = {"train": "training", "eval": "evaluation", "test": "test"}
TASKS = ("causal_lm", "sequence_classification", "image_classification")


def load(source: DataOptions, *, task: str, tokenizer: Any, sequence_length: int, context: Context, seed: int) -> Data:
    """The data of `source` as splits for `task`.

    `tokenizer` is {"name": "byte"}, {"name": "bpe", "vocab": 4096} or the tokenizer of the base model; None for images.
    The division into splits does not depend on `seed`, so that runs with other seeds are judged by the same samples;
    the seed orders them (`order`). Raises DataError.
    """
    if task == "image_classification":
        return images.load(source, context)
    if task not in TASKS:
        raise DataError(f"task {task!r} is unknown: choose one of {', '.join(TASKS)}")
    corpus = open_corpus(source, context)
    shares = {side: share for side, share in source.shares().items() if side not in corpus.held_out}
    key = cache.key_of(_parts(corpus, task, tokenizer, shares))
    folder = cache.folder(
        context.cache_dir / "data", key, lambda folder: _pack(corpus, task, tokenizer, shares, folder)
    )
    own = tokenizers.is_own(tokenizer)
    used = tokenizers.read(folder / "tokenizer.json") if own else tokenizer
    packed = Packed.read(folder)
    splits = _splits(packed, Encoder(used, own=own), sequence_length, corpus.name, source)
    return Data(
        splits["train"], splits["eval"], used, len(used), packed.labels, key[:16], corpus.name, packed.tokens["train"],
        test=splits.get("test"),
    )  # fmt: skip


def _parts(corpus: Corpus, task: str, tokenizer: Any, shares: Mapping[str, float]) -> dict[str, Any]:
    """What the packed files hang on. A test split is named only where there is one: the keys of all others stay."""
    digests = {side: other.digest for side, other in corpus.held_out.items()}
    test = {"test": digests.get("test"), "test_fraction": shares.get("test")}
    return {
        "format": FORMAT,
        "task": task,
        "content": corpus.digest,
        "held_out": digests.get("eval"),
        "tokenizer": tokenizers.identity(tokenizer),
        "eval_fraction": shares.get("eval"),
        **{name: value for name, value in test.items() if value is not None},
    }


def _pack(corpus: Corpus, task: str, tokenizer: Any, shares: Mapping[str, float], folder: Path) -> None:
    if task == "causal_lm":
        pack_text(corpus, tokenizer, shares, folder)
        return
    table = _table(corpus)
    values = table.classes()
    labels = number_classes(values, table.class_names, table.label_column)
    numbers = {"train": _numbers(values, labels, table, "train")}
    for side, other in corpus.held_out.items():
        numbers[side] = _numbers(_table(other).classes(), labels, _table(other), side)
    pack_classes(corpus, labels, numbers, tokenizer, shares, folder)


def _table(corpus: Corpus) -> Classified:
    if corpus.table is None:
        raise DataError(
            f"{corpus.name} has no classes: sequence classification needs CSV, JSONL or Parquet with a text and a "
            "label column"
        )
    return corpus.table


def _numbers(values: list[Any], labels: list[str], table: Classified, side: str) -> list[int]:
    """The class number of each row. Raises DataError for a class that the training data do not have."""
    if table.class_names is not None and all(isinstance(value, int) for value in values):
        return _checked(values, labels, table.label_column)
    number_of = {name: number for number, name in enumerate(labels)}
    names = [name_of(value, table.label_column) for value in values]
    unknown = sorted(set(names) - number_of.keys())
    if unknown:
        raise DataError(
            f"the {WORDS[side]} data hold the classes {', '.join(unknown[:5])}, which the training data do not have "
            f"({', '.join(labels[:10])}): correct the column {table.label_column!r}"
        )
    return [number_of[name] for name in names]


def _checked(values: list[int], labels: list[str], column: str) -> list[int]:
    if values and not 0 <= min(values) <= max(values) < len(labels):
        raise DataError(
            f"the column {column!r} holds numbers from {min(values)} to {max(values)} for {len(labels)} named classes: "
            "choose a split that has its labels"
        )
    return values


def _splits(packed: Packed, encoder: Encoder, sequence_length: int, name: str, source: DataOptions) -> dict[str, Split]:
    """By side."""
    if packed.labels is not None:
        return {side: _text_split(packed, side, encoder, sequence_length) for side in packed.tokens}
    for side, tokens in packed.tokens.items():
        if tokens < sequence_length:
            raise DataError(_too_short(packed, side, sequence_length, name, source))
    return {side: TokenSplit(packed.open(side), sequence_length) for side in packed.tokens}


def _too_short(packed: Packed, side: str, sequence_length: int, name: str, source: DataOptions) -> str:
    field = "test_fraction" if side == "test" else "eval_fraction"
    longest = min(packed.tokens.values())
    shorter = f"set sequence_length to {longest} or less, " if longest > 1 else ""
    return (
        f"the {WORDS[side]} part of {name} has {packed.tokens[side]:,} tokens, fewer than sequence_length "
        f"{sequence_length:,}: {shorter}give more text, or change data.{field} "
        f"(now {getattr(source, field):g})"
    )


def _text_split(packed: Packed, side: str, encoder: Encoder, sequence_length: int) -> TextSplit:
    keep_last = encoder.ends_with_mark()

    def shorten(ids: np.ndarray) -> np.ndarray:
        if keep_last:
            return np.concatenate([ids[: sequence_length - 1], ids[-1:]])
        return ids[:sequence_length]

    return TextSplit(
        packed.open(side),
        packed.array(side, "offsets"),
        packed.array(side, "labels"),
        sequence_length=sequence_length,
        pad_token_id=encoder.tokenizer.pad_token_id,
        shorten=shorten,
    )
