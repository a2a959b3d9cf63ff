"""Best of k against every subset, and where it must be simple."""

from __future__ import annotations

from itertools import combinations
from math import comb, isfinite
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.sweeps.measures.best_of_k import best_of_k, efficiency

VALUES = st.lists(st.floats(0, 10), min_size=1, max_size=9)


@given(values=VALUES, k=st.integers(1, 9))
def test_it_is_the_mean_over_all_subsets_of_their_best(values: list[float], k: int) -> None:
    if k > len(values):
        return
    expected = fmean(max(some) for some in combinations(values, k))
    assert best_of_k(values, k) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(values=VALUES)
def test_one_draw_is_the_mean_and_all_draws_are_the_best(values: list[float]) -> None:
    assert best_of_k(values, 1) == pytest.approx(fmean(values))
    assert best_of_k(values, len(values)) == pytest.approx(max(values))


def test_it_is_stable_for_ten_thousand_values() -> None:
    n, k = 10_000, 5_000
    values = [float(value) for value in range(1, n + 1)]
    # of the ranks 1..n the best of k is k (n + 1) / (k + 1) on average
    assert best_of_k(values, k) == pytest.approx(k * (n + 1) / (k + 1), rel=1e-9)
    assert isfinite(best_of_k(values, n))


def test_the_weights_are_the_hypergeometric_ones() -> None:
    n, k = 7, 3
    for place in range(n):
        unit = [0.0] * n
        unit[place] = 1.0
        lifted = sorted(unit)  # a single 1 is always the largest
        assert best_of_k(lifted, k) == pytest.approx(comb(n - 1, k - 1) / comb(n, k))


@pytest.mark.parametrize("k", [0, 4])
def test_k_must_lie_between_one_and_n(k: int) -> None:
    with pytest.raises(ValueError, match="k must lie between 1 and the number of values, 3"):
        best_of_k([1, 2, 3], k)


def test_efficiency_is_one_at_the_reference_and_nothing_without_a_value() -> None:
    assert efficiency(2.0, limit=6.0, reference=2.0) == 1
    assert efficiency(4.0, limit=6.0, reference=2.0) == 0.5
    assert efficiency(7.0, limit=6.0, reference=2.0) == efficiency(None, 6.0, 2.0) == 0
    assert efficiency(0.75, limit=0.0, reference=1.0) == 0.75  # where more is better
