"""Samples that are whole documents: texts, or prompts with answers. They are padded one by one, or share rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_jobs.engine.data.rows import Rows

if TYPE_CHECKING:
    from torch import Tensor

Indices = NDArray[np.int64]
IGNORED = -100  # a label that does not count, as in transformers


class Document(NamedTuple):
    """Tokens, and what is to be predicted of them: int64 (tokens,), -100 where nothing is."""

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]


class Documents(Protocol):
    """Documents by index, none longer than a row."""

    @property
    def lengths(self) -> NDArray[np.int64]: ...

    def __getitem__(self, index: int) -> Document: ...


class TextDocuments:
    """Texts, cut into pieces of at most `sequence_length` tokens that know nothing of each other."""

    def __init__(self, tokens: NDArray[Any], offsets: NDArray[np.int64], sequence_length: int) -> None:
        """`offsets` (texts + 1) say where each text begins in `tokens`."""
        self._tokens = np.asarray(tokens)
        counts = -(-np.diff(offsets) // sequence_length)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        within = (np.arange(counts.sum()) - first) * sequence_length
        self._starts = np.repeat(offsets[:-1], counts) + within
        self.lengths = np.minimum(np.repeat(offsets[1:], counts) - self._starts, sequence_length)

    def __getitem__(self, index: int) -> Document:
        start = self._starts[index]
        ids = self._tokens[start : start + self.lengths[index]].astype(np.int64)
        return Document(ids, ids)


class AnsweredDocuments:
    """Prompts with their answers, or conversations; only answers are to be predicted."""

    def __init__(
        self, tokens: NDArray[Any], answers: NDArray[np.uint8], offsets: NDArray[np.int64], sequence_length: int
    ) -> None:
        self._tokens, self._answers, self._offsets = np.asarray(tokens), np.asarray(answers), np.asarray(offsets)
        self._sequence_length = sequence_length
        self.lengths = np.minimum(np.diff(offsets), sequence_length)

    @property
    def has_answers(self) -> bool:
        """Whether any prompt has one."""
        return bool(self._answers.view(np.bool_).any())  # stops at the first

    def whole(self, index: int) -> Document:
        """Uncut."""
        place = slice(self._offsets[index], self._offsets[index + 1])
        ids = self._tokens[place].astype(np.int64)
        return Document(ids, np.where(self._answers[place] == 1, ids, IGNORED))

    def __getitem__(self, index: int) -> Document:
        """What is too long loses its beginning, but not the last token before its last answer; then its end."""
        ids, labels = self.whole(index)
        over = len(ids) - self._sequence_length
        if over <= 0:
            return Document(ids, labels)
        start = min(over, last_answer(labels) - 1)
        kept = slice(start, start + self._sequence_length)
        return Document(ids[kept], labels[kept])


def last_answer(labels: NDArray[np.int64]) -> int:
    """Where the last answer begins."""
    is_answer = labels != IGNORED
    begins = np.flatnonzero(is_answer[1:] & ~is_answer[:-1]) + 1
    return int(begins[-1])


def padded(rows: list[Document], pad: int) -> dict[str, Tensor]:
    """input_ids, attention_mask and labels, int64 (rows, longest row), padded on the right."""
    import torch

    shape = (len(rows), max((len(row.ids) for row in rows), default=1))
    ids, labels = np.full(shape, pad, np.int64), np.full(shape, IGNORED, np.int64)
    mask = np.zeros(shape, np.int64)
    for place, row in enumerate(rows):
        length = len(row.ids)
        ids[place, :length], labels[place, :length], mask[place, :length] = row.ids, row.labels, 1
    return {name: torch.from_numpy(value) for name, value in
            (("input_ids", ids), ("attention_mask", mask), ("labels", labels))}  # fmt: skip


class PaddedSplit:
    """One document a sample."""

    def __init__(self, documents: Documents, pad: int) -> None:
        self._documents, self._pad = documents, pad

    def __len__(self) -> int:
        return len(self._documents.lengths)

    def batch(self, indices: Indices) -> dict[str, Tensor]:
        """input_ids, attention_mask and labels, int64 (batch, longest document of the batch)."""
        return padded([self._documents[int(index)] for index in indices], self._pad)


class IsolatedSplit:
    """Rows of several documents, none of which sees another.

    Positions begin at 0 in every document. From that, and from no attention mask being there, transformers makes a mask
    that keeps them apart, for models whose mask comes from its `create_causal_mask` and that are called without a cache
    (`use_cache` off). The first token of a document is not to be predicted: the token before it is another's.
    """

    def __init__(self, documents: Documents, rows: Rows, sequence_length: int, pad: int) -> None:
        self._documents, self._rows = documents, rows
        self._sequence_length, self._pad = sequence_length, pad

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def padding(self) -> float:
        """The share of all tokens that is padding."""
        return 1 - float(self._documents.lengths.sum()) / (len(self) * self._sequence_length)

    def batch(self, indices: Indices) -> dict[str, Tensor]:
        """input_ids, position_ids and labels, int64 (batch, sequence_length); padding is a document of its own."""
        import torch

        shape = (len(indices), self._sequence_length)
        ids, labels = np.full(shape, self._pad, np.int64), np.full(shape, IGNORED, np.int64)
        positions = np.empty(shape, np.int64)
        for place, index in enumerate(indices):
            end = 0
            for member in self._rows.of(int(index)):
                start, document = end, self._documents[int(member)]
                end = start + len(document.ids)
                ids[place, start:end], labels[place, start:end] = document
                labels[place, start] = IGNORED
                positions[place, start:end] = np.arange(end - start)
            positions[place, end:] = np.arange(self._sequence_length - end)
        return {name: torch.from_numpy(value) for name, value in
                (("input_ids", ids), ("position_ids", positions), ("labels", labels))}  # fmt: skip


class PreferenceSplit:
    """Prompts, each with a better and a worse answer."""

    def __init__(self, documents: AnsweredDocuments, sequence_length: int, pad: int) -> None:
        self._documents, self._sequence_length, self._pad = documents, sequence_length, pad

    def __len__(self) -> int:
        return len(self._documents.lengths) // 2

    def _pair(self, index: int) -> list[Document]:
        """Both with the same part of the prompt: as much of its end as the longer answer leaves room for."""
        rows = [self._documents.whole(2 * index + place) for place in (0, 1)]
        prompt = int(np.flatnonzero(rows[0].labels != IGNORED)[0])
        over = max(len(row.ids) for row in rows) - self._sequence_length
        kept = slice(min(max(0, over), prompt - 1), None)
        return [Document(*(values[kept][: self._sequence_length] for values in row)) for row in rows]

    def batch(self, indices: Indices) -> dict[str, Tensor]:
        """input_ids, attention_mask and labels, int64 (2 x batch, longest): all better, then all worse answers."""
        pairs = [self._pair(int(index)) for index in indices]
        return padded([better for better, _ in pairs] + [worse for _, worse in pairs], self._pad)


class PromptSplit:
    """Prompts to be answered, and where the data have them the answers they should get."""

    def __init__(self, documents: AnsweredDocuments, sequence_length: int, pad: int, *, has_answers: bool) -> None:
        self._documents, self._sequence_length, self._pad = documents, sequence_length, pad
        self._has_answers = has_answers

    def __len__(self) -> int:
        return len(self._documents.lengths)

    def _parts(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids, labels = self._documents.whole(index)
        is_answer = labels != IGNORED
        prompt = ids[: int(np.argmax(is_answer))] if is_answer.any() else ids
        return prompt[-self._sequence_length :], ids[is_answer][: self._sequence_length]

    def batch(self, indices: Indices) -> dict[str, Tensor]:
        """input_ids and attention_mask, int64 (batch, longest prompt), padded on the left, cut there if too long.

        answer_ids, int64 (batch, longest answer), end mark included, are padded with -100 on the right.
        """
        import torch

        parts = [self._parts(int(index)) for index in indices]
        shape = (len(parts), max((len(prompt) for prompt, _ in parts), default=1))
        ids, mask = np.full(shape, self._pad, np.int64), np.zeros(shape, np.int64)
        answers = np.full((len(parts), max((len(answer) for _, answer in parts), default=1)), IGNORED, np.int64)
        for place, (prompt, answer) in enumerate(parts):
            ids[place, shape[1] - len(prompt) :], mask[place, shape[1] - len(prompt) :] = prompt, 1
            answers[place, : len(answer)] = answer
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return batch | ({"answer_ids": torch.from_numpy(answers)} if self._has_answers else {})
