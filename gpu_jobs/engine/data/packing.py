"""Writes tokens into flat files, and opens them memory-mapped.

`train.bin` and `eval.bin`, and `test.bin` where there is a test split, hold token numbers one after the other, in the
machine's byte order, and `packed.json` what is needed to read them. For classified texts `train.offsets.npy` and
`train.labels.npy` (and the others') lie beside them, for documents that are kept apart `train.offsets.npy`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpu_jobs.engine.data import tokenizers
from gpu_jobs.engine.data.corpus import Corpus
from gpu_jobs.engine.data.division import Division, digest, divide, section_length, sections
from gpu_jobs.engine.data.tokenizers import Encoder
from gpu_jobs.errors import DataError

SIDES = ("train", "eval")
BATCH = 256  # texts tokenised at a time
T = TypeVar("T")


@dataclass(frozen=True)
class Packed:
    """What a folder holds: the tokens of each side, and the class names if texts have classes."""

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
        """The tokens of "train", "eval" or "test", read from disk as they are touched."""
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
        self.begins: list[bool] = []  # whether a document begins with what was appended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def append(self, ids: NDArray[Any], *, begins: bool = True) -> None:
        self._file.write(ids.tobytes())
        self.lengths.append(len(ids))
        self.begins.append(begins)

    def offsets(self) -> NDArray[np.int64]:
        """(documents + 1,) where each document begins; the last is where all end."""
        ends = np.cumsum(self.lengths, dtype=np.int64)
        starts = (ends - np.array(self.lengths, np.int64))[np.array(self.begins, bool)]
        return np.concatenate([starts, ends[-1:] if len(ends) else [0]]).astype(np.int64)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


class Divider:
    """Says of each sample on which side it is; without `shares`, all are for training."""

    def __init__(self, samples: Iterable[tuple[str, int]], shares: Mapping[str, float]) -> None:
        self._division = divide(*_weighed(samples), shares) if shares else Division()

    def side(self, text: str) -> str:
        return self._division.side(digest(text.encode()))


def sides(corpus: Corpus, shares: Mapping[str, float]) -> tuple[str, ...]:
    """The sides there are."""
    return (*SIDES, "test") if "test" in shares or "test" in corpus.held_out else SIDES


def _weighed(samples: Iterable[tuple[str, int]]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The digests and weights of samples, 16 bytes each."""
    pairs = np.fromiter(((digest(text.encode()), weight) for text, weight in samples), np.dtype("u8,i8"))
    return pairs["f0"], pairs["f1"]


def encoder_for(choice: Any, texts: Iterable[str], folder: Path, *, masks: bool = False) -> Encoder:
    """The tokenizer that is given, or our own, made from the training texts and saved in `folder`."""
    if not tokenizers.is_own(choice):
        return Encoder(choice, own=False)
    tokenizer = tokenizers.make(choice, texts, masks=masks)
    tokenizers.save(tokenizer, folder / "tokenizer.json")
    return Encoder(tokenizer, own=True)


def pack_text(
    corpus: Corpus,
    choice: Any,
    shares: Mapping[str, float],
    folder: Path,
    *,
    apart: bool = False,
    masks: bool = False,
) -> None:
    """Texts one after the other, each followed by the token that ends it, divided by section (see `divide`).

    With `apart`, it is also written where each document begins: what follows its beginning or a gap on its side. With
    `masks`, a tokenizer of our own has a token that masks others.
    """
    characters = sum(map(len, corpus.texts()))
    if not characters:
        raise DataError(f"{corpus.name} holds no text: choose data that do")
    length = section_length(characters)
    samples = ((text, len(text)) for text, _ in sections(corpus.texts(), length))
    divider = Divider(samples, shares)
    training = (text for text, _ in sections(corpus.texts(), length) if divider.side(text) == "train")
    encoder = encoder_for(choice, training, folder, masks=masks)
    with ExitStack() as stack:
        writers = {side: stack.enter_context(Writer(folder, side)) for side in sides(corpus, shares)}
        _write_sections(corpus, length, encoder, lambda text: writers[divider.side(text)])
        for side, other in corpus.held_out.items():
            _write_sections(other, length, encoder, lambda _, side=side: writers[side])
    for side, writer in writers.items() if apart else ():
        np.save(folder / f"{side}.offsets.npy", writer.offsets())
    Packed(folder, encoder.dtype.name, {side: sum(writer.lengths) for side, writer in writers.items()}).write()


def _write_sections(corpus: Corpus, length: int, encoder: Encoder, writer_of: Any) -> None:
    end = encoder.tokenizer.eos_token_id
    mark = np.array([] if end is None else [end], encoder.dtype)
    before = None  # whose document goes on
    for batch in batched(sections(corpus.texts(), length), BATCH):
        for (text, is_last), ids in zip(batch, encoder.plain([text for text, _ in batch]), strict=True):
            writer = writer_of(text)
            writer.append(ids, begins=writer is not before)
            if is_last:
                writer.append(mark, begins=False)
            before = None if is_last else writer


def pack_classes(
    corpus: Corpus,
    labels: Sequence[str],
    numbers: Mapping[str, list[int]],
    choice: Any,
    shares: Mapping[str, float],
    folder: Path,
) -> None:
    """Texts with classes, divided by text. `numbers` gives the class numbers of "train" and of each side held out."""
    divider = Divider(((text, 1) for text in corpus.texts()), shares)
    encoder = encoder_for(choice, (text for text in corpus.texts() if divider.side(text) == "train"), folder)
    classes: dict[str, list[int]] = {side: [] for side in sides(corpus, shares)}
    with ExitStack() as stack:
        writers = {side: stack.enter_context(Writer(folder, side)) for side in classes}
        _write_rows(corpus, numbers["train"], encoder, divider.side, writers, classes)
        for side, other in corpus.held_out.items():
            _write_rows(other, numbers[side], encoder, lambda _, side=side: side, writers, classes)
    for side in classes:
        np.save(folder / f"{side}.offsets.npy", writers[side].offsets())
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
