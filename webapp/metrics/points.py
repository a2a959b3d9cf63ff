"""Points as three arrays of one length, and how they are packed into bytes."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]
BYTES_PER_POINT = 24


class Points(NamedTuple):
    """steps int64 (n,), values float64 (n,), times float64 (n,) in seconds since the epoch."""

    steps: Int64
    values: Float64
    times: Float64

    @classmethod
    def of(cls, steps: ArrayLike, values: ArrayLike, times: ArrayLike) -> Self:
        """From anything array-like. Raises ValueError when the lengths differ."""
        points = cls(np.asarray(steps, np.int64), np.asarray(values, np.float64), np.asarray(times, np.float64))
        if not points.steps.shape == points.values.shape == points.times.shape:
            raise ValueError(f"steps, values and times differ in length: {[len(column) for column in points]}")
        return points

    @classmethod
    def empty(cls) -> Self:
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0))

    @classmethod
    def unpack(cls, steps: bytes, values: bytes, times: bytes) -> Self:
        """The reverse of `pack`."""
        numbers = np.frombuffer(steps, "<i8")
        count = len(values) // 8
        if len(numbers) != count:
            first, apart = numbers
            numbers = first + apart * np.arange(count)
        return cls(numbers, np.frombuffer(values, "<f8"), np.frombuffer(times, "<f8"))

    @classmethod
    def unpack_one(cls, packed: bytes) -> Self:
        """The reverse of `pack_one`."""
        third = len(packed) // 3
        return cls.unpack(packed[:third], packed[third : 2 * third], packed[2 * third :])

    def pack(self) -> tuple[bytes, bytes, bytes]:
        """Of three steps and more that are equally far apart, `steps` holds the first and the distance only."""
        steps, values, times = self
        short = steps[:2] - np.array([0, steps[0]]) if self.is_even() else steps
        return short.astype("<i8").tobytes(), values.astype("<f8").tobytes(), times.astype("<f8").tobytes()

    def pack_one(self) -> bytes:
        return b"".join(column.astype(kind).tobytes() for column, kind in zip(self, ("<i8", "<f8", "<f8"), strict=True))

    def take(self, index: slice | NDArray[np.bool_] | NDArray[np.intp]) -> Points:
        return Points(self.steps[index], self.values[index], self.times[index])

    def is_even(self) -> bool:
        """Whether there are three steps or more, equally far apart, and their whole distance is an int64."""
        steps = self.steps
        if len(steps) < 3 or int(steps[-1]) - int(steps[0]) > np.iinfo(np.int64).max:
            return False
        return bool((np.diff(steps) == steps[1] - steps[0]).all())

    def is_sorted(self) -> bool:
        """Whether every step is above the one before it."""
        return bool((self.steps[1:] > self.steps[:-1]).all())


def join(parts: list[Points]) -> Points:
    """One after the other, in the order given."""
    if not parts:
        return Points.empty()
    return Points(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def settle(points: Points) -> Points:
    """Sorted by step; of several points at one step the last counts."""
    if points.is_sorted():
        return points
    order = np.argsort(points.steps, kind="stable")
    steps = points.steps[order]
    is_last = np.append(steps[1:] != steps[:-1], True)
    return points.take(order[is_last])


def between(points: Points, start: int | None, stop: int | None) -> Points:
    """The points with start <= step <= stop; they must be sorted."""
    first = 0 if start is None else int(np.searchsorted(points.steps, start, "left"))
    end = len(points.steps) if stop is None else int(np.searchsorted(points.steps, stop, "right"))
    return points.take(slice(first, end))
