"""Writes tokens into flat files, and opens them memory-mapped.

`train.bin` and `eval.bin` hold token numbers one after the other, in the machine's byte order, and `packed.json` what
is needed to read them. For classified texts `train.offsets.npy` and `train.labels.npy` (and eval's) lie beside them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpu_jobs.engine.data import tokenizers
from gpu_jobs.engine.data.corpus import Corpus
from gpu_jobs.engine.data.division import cutoff, digest, section_length, sections
from gpu_jobs.engine.data.tokenizers import Encoder
from gpu_jobs.errors import DataError

SIDES = ("train", "eval")
BATCH = 256  # texts tokenised at a time
T = TypeVar("T")


@dataclass(frozen=True)
class Packed:
    """What a folder holds: the tokens of both sides, and the class names if texts have classes."""

    folder: Path
    dtype: str
    tokens: dict[str, int]
    labels: list[str] | None = None

    def write(self) -> None:
        values = {"dtype": self.dtype, "tokens": self.tokens, "labels": self.labels}
        (self.folder / "packed.json").write_text(json.dumps(values))

    @classmethod
    def read(cls, folder: Path) -> Self:
        return cls(folder, **json.loads((folder / "packed.json").read_text()))

    def open(self, side: str) -> NDArray[np.unsignedinteger[Any]]:
        """The tokens of "train" or "eval", read from disk as they are touched."""
        if not self.tokens[side]:
            return np.empty(0, self.dtype)
        return np.memmap(self.folder / f"{side}.bin", self.dtype, mode="r", shape=(self.tokens[side],))

    def array(self, side: str, name: str) -> NDArray[Any]:
        values: NDArray[Any] = np.load(self.folder / f"{side}.{name}.npy", mmap_mode="r", allow_pickle=False)
        return values


class Writer:
    """Appends tokens to a side's file and counts them."""

    def __init__(self, folder: Path, side: str) -> None:
        self._file = (folder / f"{side}.bin").open("wb")
        self.lengths: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def append(self, ids: NDArray[Any]) -> None:
        self._file.write(ids.tobytes())
        self.lengths.append(len(ids))


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


class Divider:
    """Says of each sample whether it is for evaluation; `held_out` says that another source is."""

    def __init__(self, samples: Iterable[tuple[str, int]], fraction: float, held_out: bool) -> None:
        self._cutoff = -1 if held_out else cutoff(*_weighed(samples), fraction)

    def side(self, text: str) -> str:
        return SIDES[digest(text.encode()) <= self._cutoff]


def _weighed(samples: Iterable[tuple[str, int]]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The digests and weights of samples, 16 bytes each."""
    pairs = np.fromiter(((digest(text.encode()), weight) for text, weight in samples), np.dtype("u8,i8"))
    return pairs["f0"], pairs["f1"]


def _encoder(choice: Any, texts: Iterable[str], folder: Path) -> Encoder:
    """The tokenizer that is given, or our own, made from the training texts and saved in `folder`."""
    if not tokenizers.is_own(choice):
        return Encoder(choice, own=False)
    tokenizer = tokenizers.make(choice, texts)
    tokenizers.save(tokenizer, folder / "tokenizer.json")
    return Encoder(tokenizer, own=True)


def pack_text(corpus: Corpus, choice: Any, fraction: float, folder: Path) -> None:
    """Texts one after the other, each followed by the token that ends it, divided by section."""
    characters = sum(map(len, corpus.texts()))
    if not characters:
        raise DataError(f"{corpus.name} holds no text: choose data that do")
    length = section_length(characters)
    samples = ((text, len(text)) for text, _ in sections(corpus.texts(), length))
    divider = Divider(samples, fraction, corpus.held_out is not None)
    training = (text for text, _ in sections(corpus.texts(), length) if divider.side(text) == "train")
    encoder = _encoder(choice, training, folder)
    with Writer(folder, "train") as train, Writer(folder, "eval") as evaluation:
        writers = {"train": train, "eval": evaluation}
        _write_sections(corpus, length, encoder, lambda text: writers[divider.side(text)])
        if corpus.held_out is not None:
            _write_sections(corpus.held_out, length, encoder, lambda text: evaluation)
    Packed(folder, encoder.dtype.name, {side: sum(writer.lengths) for side, writer in writers.items()}).write()


def _write_sections(corpus: Corpus, length: int, encoder: Encoder, writer_of: Any) -> None:
    end = encoder.tokenizer.eos_token_id
    mark = np.array([] if end is None else [end], encoder.dtype)
    for batch in batched(sections(corpus.texts(), length), BATCH):
        for (text, is_last), ids in zip(batch, encoder.plain([text for text, _ in batch]), strict=True):
            writer = writer_of(text)
            writer.append(ids)
            if is_last:
                writer.append(mark)


def pack_classes(
    corpus: Corpus, labels: Sequence[str], numbers: dict[str, list[int]], choice: Any, fraction: float, folder: Path
) -> None:
    """Texts with classes, divided by text. `numbers` gives the class numbers of "train" and, if held out, "eval"."""
    divider = Divider(((text, 1) for text in corpus.texts()), fraction, corpus.held_out is not None)
    encoder = _encoder(choice, (text for text in corpus.texts() if divider.side(text) == "train"), folder)
    classes: dict[str, list[int]] = {side: [] for side in SIDES}
    with Writer(folder, "train") as train, Writer(folder, "eval") as evaluation:
        writers = {"train": train, "eval": evaluation}
        _write_rows(corpus, numbers["train"], encoder, divider.side, writers, classes)
        if corpus.held_out is not None:
            _write_rows(corpus.held_out, numbers["eval"], encoder, lambda text: "eval", writers, classes)
    for side in SIDES:
        offsets = np.concatenate([[0], np.cumsum(writers[side].lengths, dtype=np.int64)]).astype(np.int64)
        np.save(folder / f"{side}.offsets.npy", offsets)
        np.save(folder / f"{side}.labels.npy", np.array(classes[side], np.int64))
    tokens = {side: sum(writer.lengths) for side, writer in writers.items()}
    Packed(folder, encoder.dtype.name, tokens, list(labels)).write()


def _write_rows(
    corpus: Corpus,
    numbers: list[int],
    encoder: Encoder,
    side_of: Any,
    writers: dict[str, Writer],
    classes: dict[str, list[int]],
) -> None:
    for batch in batched(zip(corpus.texts(), numbers, strict=True), BATCH):
        for (text, number), ids in zip(batch, encoder.marked([text for text, _ in batch]), strict=True):
            side = side_of(text)
            writers[side].append(ids)
            classes[side].append(number)
