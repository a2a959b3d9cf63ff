"""What training reads: splits of samples, each answering with a batch for a list of indices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_jobs.sources import Form

if TYPE_CHECKING:
    from torch import Tensor

Indices = NDArray[np.int64]


class Split(Protocol):
    """Samples by index; `batch` gives what the forward of a Hugging Face model takes."""

    def __len__(self) -> int: ...

    def batch(self, indices: Indices) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Data:
    """The splits, which never share a sample, and how they came to be.

    `tokenizer` is None for images, and `vocab_size` is then 0. `labels` are the class names in the order of their
    numbers, None for language modelling. `tokens` counts the training split. `fingerprint` changes when the content,
    the split or the tokenisation does. `image_shape` is (channels, height, width). `test` is None where none was
    asked for. `form` says what a sample is; `padding` is the share of training tokens that pads, where samples share
    rows.
    """

    train: Split
    eval: Split
    tokenizer: Any
    vocab_size: int
    labels: list[str] | None
    fingerprint: str
    name: str
    tokens: int
    image_shape: tuple[int, int, int] | None = None
    test: Split | None = None
    form: Form = "text"
    padding: float | None = None

    @property
    def special_ids(self) -> list[int]:
        """The tokens that stand for no text."""
        return sorted(self.tokenizer.all_special_ids) if self.tokenizer is not None else []

    @property
    def mask_token_id(self) -> int | None:
        """The token that masks others, where the tokenizer has one."""
        return getattr(self.tokenizer, "mask_token_id", None)

    def splits(self) -> dict[str, Split]:
        """By name, those there are."""
        named = {"train": self.train, "eval": self.eval, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}


class TokenSplit:
    """One long row of tokens, cut into samples of `sequence_length`; the rest at the end is left out."""

    def __init__(self, tokens: NDArray[np.unsignedinteger[Any]], sequence_length: int) -> None:
        count = len(tokens) // sequence_length
        self._rows = np.asarray(tokens[: count * sequence_length]).reshape(count, sequence_length)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, indices: Indices) -> dict[str, Tensor]:
        """input_ids and labels, both int64 (batch, sequence_length); the model shifts the labels itself."""
        import torch

        ids = torch.from_numpy(self._rows[indices].astype(np.int64))
        return {"input_ids": ids, "labels": ids.clone()}


class TextSplit:
    """Texts of many lengths, each with a class."""

    def __init__(
        self,
        tokens: NDArray[np.unsignedinteger[Any]],
        offsets: NDArray[np.int64],
        labels: NDArray[np.int64],
        *,
        sequence_length: int,
        pad_token_id: int,
        shorten: Callable[[NDArray[Any]], NDArray[Any]],
    ) -> None:
        """`offsets` (samples + 1) say where each text begins in `tokens`; `shorten` cuts one that is too long."""
        self._tokens = np.asarray(tokens)
        self._offsets = np.asarray(offsets)
        self._labels = np.asarray(labels)
        self._sequence_length = sequence_length
        self._pad_token_id = pad_token_id
        self._shorten = shorten

    def __len__(self) -> int:
        return len(self._labels)

    def _ids(self, index: int) -> NDArray[Any]:
        ids = self._tokens[self._offsets[index] : self._offsets[index + 1]]
        return self._shorten(ids) if len(ids) > self._sequence_length else ids

    def batch(self, indices: Indices) -> dict[str, Tensor]:
        """input_ids and attention_mask int64 (batch, longest text of the batch), labels int64 (batch,)."""
        import torch

        rows = [self._ids(int(index)) for index in indices]
        shape = (len(rows), max(1, *map(len, rows)) if rows else 1)
        ids = np.full(shape, self._pad_token_id, np.int64)
        mask = np.zeros(shape, np.int64)
        for row, values in enumerate(rows):
            ids[row, : len(values)] = values
            mask[row, : len(values)] = 1
        labels = torch.from_numpy(self._labels[indices].astype(np.int64))
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask), "labels": labels}


class ImageSplit:
    """Images, all of one size, each with a class."""

    def __init__(self, pixels: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self._pixels = np.asarray(pixels)  # (samples, channels, height, width)
        self._labels = np.asarray(labels)

    def __len__(self) -> int:
        return len(self._labels)

    def batch(self, indices: Indices) -> dict[str, Tensor]:
        """pixel_values float32 (batch, channels, height, width) in [-1, 1] and labels int64 (batch,)."""
        import torch

        return {
            "pixel_values": torch.from_numpy(self._pixels[indices]),
            "labels": torch.from_numpy(self._labels[indices].astype(np.int64)),
        }
