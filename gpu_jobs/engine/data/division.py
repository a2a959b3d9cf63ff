"""Which part of the data is kept for evaluation and for the test: by content alone, so that it is the same for every
seed and every machine, and equal samples always lie on the same side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_jobs.errors import DataError

LARGEST = 2**64 - 1
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


class Division(NamedTuple):
    """Digests up to `last_eval` are for evaluation, those above `last_used` for the test, the others for training."""

    last_eval: int = -1
    last_used: int = LARGEST

    def side(self, digest: int) -> str:
        if digest > self.last_used:
            return "test"
        return "eval" if digest <= self.last_eval else "train"


def divide(digests: NDArray[np.uint64], weights: NDArray[np.int64], shares: Mapping[str, float]) -> Division:
    """`shares` of the weight for "eval" and "test", either of which may be missing; eval's is of what the test leaves.

    Every side that is asked for, and training, gets at least one sample. Raises DataError when there are too few.
    """
    last_used = LARGEST
    if "test" in shares:
        last_used = cutoff(digests, weights, 1 - shares["test"])
        is_used = digests <= np.uint64(last_used)
        digests, weights = digests[is_used], weights[is_used]
    return Division(cutoff(digests, weights, shares["eval"]) if "eval" in shares else -1, last_used)


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
