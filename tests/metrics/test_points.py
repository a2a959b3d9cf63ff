"""Points are packed and unpacked exactly, and equally distant steps take two numbers instead of one each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.metrics.points import Points

INT64 = np.iinfo(np.int64)
integers = st.integers(INT64.min, INT64.max)


def made(steps: list[int]) -> Points:
    count = len(steps)
    return Points.of(np.array(steps, np.int64), np.arange(count) / 7, 1.7e9 + np.arange(count))


def assert_same(one: Points, other: Points) -> None:
    for column, wanted in zip(one, other, strict=True):
        np.testing.assert_array_equal(column, wanted)
        assert column.dtype == wanted.dtype


@given(st.lists(integers, max_size=40, unique=True).map(sorted))
def test_any_steps_come_back(steps: list[int]) -> None:
    points = made(steps)
    assert_same(Points.unpack(*points.pack()), points)
    assert_same(Points.unpack_one(points.pack_one()), points)


@given(first=integers, apart=st.integers(1, 2**63), count=st.integers(0, 50))
def test_steps_equally_far_apart_come_back(first: int, apart: int, count: int) -> None:
    steps = [step for step in range(first, first + apart * count, apart) if step <= INT64.max]
    points = made(steps)
    packed = points.pack()
    assert_same(Points.unpack(*packed), points)
    if len(steps) > 2 and steps[-1] - steps[0] <= INT64.max:
        assert len(packed[0]) == 16


@pytest.mark.parametrize("steps", [[0, 1, 2, 4], [0, 2, 3], [5, 9], [5], []])
def test_other_steps_take_eight_bytes_each(steps: list[int]) -> None:
    assert len(made(steps).pack()[0]) == 8 * len(steps)
