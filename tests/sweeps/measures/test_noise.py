"""Signal, noise and decisions: simple cases, scale, and intervals that hold what they promise."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.sweeps.measures import noise

SCORES = st.lists(st.floats(0.1, 10), min_size=2, max_size=8)


def test_identical_models_have_no_signal() -> None:
    assert noise.signal([2.0, 2.0, 2.0]) == 0
    assert noise.ratio(0.0, 0.0) == 0
    assert noise.ratio(0.5, 0.0) is None  # nothing to divide by


@given(scores=SCORES, late=SCORES, factor=st.floats(0.01, 100))
def test_the_ratio_does_not_depend_on_the_unit(scores: list[float], late: list[float], factor: float) -> None:
    plain = noise.ratio(noise.signal(scores), noise.noise(late))
    scaled = noise.ratio(noise.signal([s * factor for s in scores]), noise.noise([s * factor for s in late]))
    if plain is None or (noise.noise(late) or 0) < 1e-9:
        return  # rounding alone makes that spread
    assert scaled == pytest.approx(plain, rel=1e-6, abs=1e-6)


@given(scores=SCORES)
def test_signal_is_the_largest_difference_of_any_pair_over_the_mean(scores: list[float]) -> None:
    pairs = [abs(a - b) for a in scores for b in scores]
    assert noise.signal(scores) == pytest.approx(max(pairs) / np.mean(scores))


@given(scores=st.lists(st.floats(0, 10), min_size=2, max_size=8, unique=True))
def test_the_same_order_decides_everything_alike_and_the_reverse_nothing(scores: list[float]) -> None:
    assert noise.decision_accuracy(scores, [2 * score + 1 for score in range(len(scores))]) is not None
    assert noise.decision_accuracy(scores, list(scores)) == 1
    assert noise.decision_accuracy(scores, [-score for score in scores]) == 0


def test_random_orders_decide_half_alike() -> None:
    draw = random.Random(0)
    target = [draw.random() for _ in range(60)]
    found = [noise.decision_accuracy([draw.random() for _ in range(60)], target) for _ in range(60)]
    assert np.mean([value for value in found if value is not None]) == pytest.approx(0.5, abs=0.02)


def test_a_monotone_series_is_one_whichever_way_is_better() -> None:
    assert noise.monotonicity([5, 4, 3, 1], sign=1.0) == 1
    assert noise.monotonicity([0.1, 0.2, 0.9], sign=-1.0) == 1
    assert noise.monotonicity([1, 2, 3], sign=1.0) == -1
    assert noise.monotonicity([1.0]) is noise.monotonicity([2.0, 2.0]) is None


def test_the_bootstrap_covers_the_mean_about_as_often_as_it_says() -> None:
    """400 samples of 20 normal values: a share of .95 spreads by .011, and small samples cost a little."""
    draw = np.random.default_rng(0)
    found = [noise.bootstrap(draw.normal(3.0, 1.0, 20).tolist()) for _ in range(400)]
    share = np.mean([interval is not None and interval[0] <= 3.0 <= interval[1] for interval in found])
    assert 0.90 <= share <= 0.98


def test_the_bootstrap_needs_three_values_and_gives_the_same_for_the_same() -> None:
    assert noise.bootstrap([1.0, 2.0]) is None
    assert noise.bootstrap([2.0, 2.0, 2.0]) == (2.0, 2.0)
    assert noise.bootstrap([1.0, 2.0, 4.0, 3.0]) == noise.bootstrap([4.0, 3.0, 2.0, 1.0])
