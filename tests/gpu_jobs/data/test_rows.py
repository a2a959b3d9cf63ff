"""Rows hold every sample once, never too much, and little padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_jobs.engine.data.rows import fill


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200))
def test_every_sample_is_in_one_row_and_no_row_overflows(lengths: list[int]) -> None:
    given_ = np.array(lengths)
    rows = fill(given_, 50)
    assert sorted(rows.members.tolist()) == list(range(len(lengths)))
    sums = [given_[rows.of(row)].sum() for row in range(len(rows))]
    assert max(sums) <= 50 and sum(sums) == sum(lengths)
    assert len(rows) < 2 * sum(lengths) / 50 + 1  # any two rows together are more than full


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_it_is_the_best_fit_that_a_search_over_all_open_rows_finds(lengths: list[int]) -> None:
    left: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in left if room >= length]
        if fitting:
            left.remove(min(fitting))
            left.append(min(fitting) - length)
        else:
            left.append(50 - length)
    rows = fill(np.array(lengths), 50)
    rooms = [50 - int(np.array(lengths)[rows.of(row)].sum()) for row in range(len(rows))]
    assert sorted(rooms) == sorted(left)


def test_halves_pair_up_without_padding() -> None:
    rows = fill(np.array([3, 5, 7, 5, 8, 2]), 10)
    assert len(rows) == 3 and all(len(rows.of(row)) == 2 for row in range(3))


@pytest.mark.parametrize("seed", range(3))
def test_the_same_lengths_give_the_same_rows(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(1, 100, 1000)
    one, other = fill(lengths, 128), fill(lengths, 128)
    assert np.array_equal(one.members, other.members) and np.array_equal(one.starts, other.starts)
