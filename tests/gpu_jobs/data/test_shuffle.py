"""The one shuffling function."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpu_jobs.engine.data import order

COUNTS, SEEDS = st.integers(0, 500), st.integers(0, 2**32 - 1)


@given(COUNTS, st.integers(0, 1000), SEEDS)
def test_an_epoch_visits_every_sample_once(n: int, epoch: int, seed: int) -> None:
    assert np.array_equal(np.sort(order(n, epoch, seed)), np.arange(n))


@given(st.integers(20, 500), st.integers(0, 1000), SEEDS)
def test_the_order_is_fixed_by_epoch_and_seed_and_differs_between_them(n: int, epoch: int, seed: int) -> None:
    first = order(n, epoch, seed)
    assert np.array_equal(first, order(n, epoch, seed))
    assert not np.array_equal(first, order(n, epoch + 1, seed))
    assert not np.array_equal(first, order(n, epoch, seed + 1))
    assert not np.array_equal(order(n, 1, 0), order(n, 0, 1))


def test_every_place_is_as_likely_for_a_sample() -> None:
    places = np.array([np.argmax(order(10, epoch, 3) == 0) for epoch in range(4000)])
    counts = np.bincount(places, minlength=10)
    # Chi-squared with 9 degrees of freedom exceeds 27.9 once in a thousand.
    assert ((counts - 400) ** 2 / 400).sum() < 27.9
