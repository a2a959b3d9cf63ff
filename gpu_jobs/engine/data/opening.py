"""From packed files to splits that answer with batches."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_jobs.engine.data import cache, rows, tokenizers
from gpu_jobs.engine.data.documents import (
    AnsweredDocuments,
    Documents,
    IsolatedSplit,
    PaddedSplit,
    PreferenceSplit,
    PromptSplit,
    TextDocuments,
)
from gpu_jobs.engine.data.packing import Packed
from gpu_jobs.engine.data.request import Request
from gpu_jobs.engine.data.rows import Rows
from gpu_jobs.engine.data.splits import Data, Split, TextSplit, TokenSplit
from gpu_jobs.engine.data.tokenizers import Encoder
from gpu_jobs.errors import DataError

WORDS = {"train": "training", "eval": "evaluation", "test": "test"}


def open_data(folder: Path, request: Request, name: str) -> Data:
    """The data in a packed folder. Raises DataError where a side is too short for one sample."""
    own, packed = tokenizers.is_own(request.tokenizer), Packed.read(folder)
    used = tokenizers.read(folder / "tokenizer.json") if own else request.tokenizer
    if request.task == "masked_lm" and used.mask_token_id is None:
        raise DataError("the tokenizer has no token that masks others: choose a base that was trained with one")
    splits = _Opening(packed, Encoder(used, own=own), request, name).splits()
    train = splits["train"]
    return Data(
        train, splits["eval"], _speaking(used, request, folder), len(used), packed.labels, folder.name[:16], name,
        packed.tokens["train"], test=splits.get("test"), form=request.form,
        padding=train.padding if isinstance(train, IsolatedSplit) else None,
    )  # fmt: skip


def _speaking(tokenizer: Any, request: Request, folder: Path) -> Any:
    """The tokenizer with the template that rendered the messages, so that it is saved with the model."""
    if request.template is None or not json.loads((folder / "answers.json").read_text())["has_messages"]:
        return tokenizer
    if tokenizer.chat_template and not request.has_template:
        return tokenizer
    speaking = copy.deepcopy(tokenizer)
    speaking.chat_template = request.template
    return speaking


class _Opening:
    """One packed folder, read as it was asked for."""

    def __init__(self, packed: Packed, encoder: Encoder, request: Request, name: str) -> None:
        self._packed, self._encoder, self._request, self._name = packed, encoder, request, name
        self._length = request.sequence_length
        self._pad = encoder.tokenizer.pad_token_id or 0

    def splits(self) -> dict[str, Split]:
        """By side."""
        if self._packed.labels is not None:
            return {side: self._classified(side) for side in self._packed.tokens}
        if self._request.template is None and self._request.packing == "joined":
            return {side: self._joined(side) for side in self._packed.tokens}
        return self._documents()

    def _joined(self, side: str) -> Split:
        if self._packed.tokens[side] < self._length:
            raise DataError(self._too_short(side))
        return TokenSplit(self._packed.open(side), self._length)

    def _too_short(self, side: str) -> str:
        field = "test_fraction" if side == "test" else "eval_fraction"
        longest = min(self._packed.tokens.values())
        shorter = f"set sequence_length to {longest} or less, " if longest > 1 else ""
        return (
            f"the {WORDS[side]} part of {self._name} has {self._packed.tokens[side]:,} tokens, fewer than "
            f"sequence_length {self._length:,}: {shorter}give more text, or change data.{field} "
            f"(now {getattr(self._request.source, field):g})"
        )

    def _classified(self, side: str) -> TextSplit:
        keep_last, length = self._encoder.ends_with_mark(), self._length

        def shorten(ids: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([ids[: length - 1], ids[-1:]]) if keep_last else ids[:length]

        return TextSplit(
            self._packed.open(side),
            self._packed.array(side, "offsets"),
            self._packed.array(side, "labels"),
            sequence_length=length,
            pad_token_id=self._encoder.tokenizer.pad_token_id,
            shorten=shorten,
        )

    def _documents(self) -> dict[str, Split]:
        if self._request.template is None:
            texts = {side: self._texts(side) for side in self._packed.tokens}
            return self._arranged(texts)
        answered = {side: self._answered(side) for side in self._packed.tokens}
        if self._request.form == "instruction":
            return self._arranged(answered)
        if self._request.form == "preference":
            return {side: PreferenceSplit(found, self._length, self._pad) for side, found in answered.items()}
        return {side: self._prompts(found) for side, found in answered.items()}

    def _texts(self, side: str) -> TextDocuments:
        return TextDocuments(self._packed.open(side), self._packed.array(side, "offsets"), self._length)

    def _answered(self, side: str) -> AnsweredDocuments:
        offsets, count = self._packed.array(side, "offsets"), self._packed.tokens[side]
        if not count:
            raise DataError(f"the {WORDS[side]} part of {self._name} has no samples: give more")
        path = self._packed.folder / f"{side}.answers.bin"
        answers = np.memmap(path, np.uint8, mode="r", shape=(count,))
        return AnsweredDocuments(self._packed.open(side), answers, offsets, self._length)

    def _prompts(self, answered: AnsweredDocuments) -> PromptSplit:
        return PromptSplit(answered, self._length, self._pad, has_answers=answered.has_answers)

    def _arranged(self, documents: dict[str, Any]) -> dict[str, Split]:
        """One document a row, or several, as the packing says."""
        if self._request.packing == "none":
            return {side: PaddedSplit(found, self._pad) for side, found in documents.items()}
        folder = self._rows(documents)
        return {
            side: IsolatedSplit(found, Rows.read(folder, side), self._length, self._pad)
            for side, found in documents.items()
        }

    def _rows(self, documents: dict[str, Documents]) -> Path:
        """Which documents share rows of this length, worked out once."""
        folder = self._packed.folder
        key = cache.key_of({"rows": rows.FORMAT, "of": folder.name, "sequence_length": self._length})

        def fill(target: Path) -> None:
            for side, found in documents.items():
                rows.fill(np.asarray(found.lengths, np.int64), self._length).save(target, side)

        return cache.folder(folder.parent, key, fill)
