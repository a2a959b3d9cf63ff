"""Which part of the data is kept for evaluation: by content alone, so that it is the same for every seed and every
machine, and equal samples always lie on the same side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from gpu_jobs.errors import DataError

SECTION_CHARACTERS = (128, 65_536)  # the shortest and longest sections a text is cut into before it is divided


def digest(content: bytes) -> int:
    """64 bits that stand for a sample."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")


def cutoff(digests: NDArray[np.uint64], weights: NDArray[np.int64], fraction: float) -> int:
    """Samples whose digest is at most the result are for evaluation: the nearest there is to `fraction` of the weight.

    Both sides get at least one sample. Raises DataError when all samples are equal.
    """
    keys, place = np.unique(digests, return_inverse=True)
    if len(keys) < 2:
        raise DataError(
            "the data can't be divided: they hold only one distinct sample; add more, or name evaluation data"
        )
    reached = np.cumsum(np.bincount(place, weights=weights))
    return int(keys[np.argmin(np.abs(reached[:-1] - fraction * reached[-1]))])


def section_length(characters: int) -> int:
    """How long the sections of a text of so many characters are: about a hundred of them, within bounds."""
    shortest, longest = SECTION_CHARACTERS
    return min(longest, max(shortest, characters // 100))


def sections(texts: Iterable[str], length: int) -> Iterator[tuple[str, bool]]:
    """Cuts every text at line ends into sections of at most `length` characters; True marks the last of its text."""
    for text in texts:
        start = 0
        while len(text) - start > length:
            end = text.rfind("\n", start, start + length) + 1 or start + length
            yield text[start:end], False
            start = end
        if start < len(text):
            yield text[start:], True
