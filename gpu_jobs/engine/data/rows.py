"""Which samples share a row: best fit decreasing, so that little of a row is padding.

The longest sample comes first and goes into the fullest row that still has room for it (cf. Krell et al. 2021,
"Efficient Sequence Packing without Cross-contamination", whose histogram packing places many at once).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PAPER = "https://arxiv.org/abs/2107.02027"
FORMAT = 1  # raise when other rows come out


@dataclass(frozen=True)
class Rows:
    """The samples of row r are `members[starts[r]:starts[r + 1]]`, in this order."""

    members: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, row: int) -> NDArray[np.int64]:
        return self.members[self.starts[row] : self.starts[row + 1]]

    def save(self, folder: Path, side: str) -> None:
        np.save(folder / f"{side}.members.npy", self.members)
        np.save(folder / f"{side}.starts.npy", self.starts)

    @classmethod
    def read(cls, folder: Path, side: str) -> Rows:
        """As `save` wrote them, memory-mapped."""
        return cls(
            np.load(folder / f"{side}.members.npy", mmap_mode="r", allow_pickle=False),
            np.load(folder / f"{side}.starts.npy", mmap_mode="r", allow_pickle=False),
        )


def fill(lengths: NDArray[np.int64], capacity: int) -> Rows:
    """Rows of at most `capacity` tokens that hold each sample once; no length may exceed it. Needs no randomness."""
    rows: list[list[int]] = []
    open_rows: dict[int, list[int]] = {}  # by the room that is left
    rooms = 0  # bit r is set where a row with room r is open
    for sample in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[sample])
        above = rooms >> length
        if above:
            room = length + (above & -above).bit_length() - 1
            row = open_rows[room].pop()
            if not open_rows[room]:
                rooms ^= 1 << room
        else:
            room, row = capacity, len(rows)
            rows.append([])
        rows[row].append(sample)
        left = room - length
        if left:
            open_rows.setdefault(left, []).append(row)
            rooms |= 1 << left
    members = np.array([sample for row in rows for sample in row], np.int64)
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return Rows(members, starts)
