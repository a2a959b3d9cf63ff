from __future__ import annotations

import math

import numpy as np
import pytest

from webapp.charts.sweeps import knobs, look
from webapp.sweeps.definition import Choices, Range


def test_a_knob_that_is_not_in_a_point_is_off() -> None:
    knob = knobs.knob("rank", Range(low=2, high=32, log=True), [{"rank": 4}, {}, {"rank": 16}])
    assert knob.is_active.tolist() == [True, False, True]
    assert knobs.words(knob) == ["4", "off", "16"]


def test_a_choice_that_an_edit_took_away_comes_after_the_present_ones() -> None:
    knob = knobs.knob("name", Choices(choices=["a", None, 2]), [{"name": "gone"}, {"name": None}, {"name": 2}, {}])
    assert knob.categories == ["a", "None", "2", "gone"]
    np.testing.assert_equal(knob.values, [3, 1, 2, math.nan])


def test_a_log_knob_is_scaled_by_its_logarithm() -> None:
    knob = knobs.knob("lr", Range(low=1e-4, high=1, log=True), [{"lr": 1e-4}, {"lr": 1e-3}, {"lr": 1e-2}])
    np.testing.assert_allclose(knob.scaled, [0, 0.5, 1])


def test_points_of_a_category_are_drawn_beside_each_other_and_always_the_same_way() -> None:
    knob = knobs.knob("name", Choices(choices=["a", "b"]), [{"name": "b"}] * 50)
    once, again = knobs.drawn(knob), knobs.drawn(knob)
    np.testing.assert_array_equal(once, again)
    assert ((once > 0.8) & (once < 1.2)).all()
    assert len(set(once)) == 50


@pytest.mark.parametrize(("value", "words"), [(0.002, "0.002"), (20_000, "20k"), (5e6, "5M"), (-3e9, "-3G"), (2, "2")])
def test_amounts_are_short(value: float, words: str) -> None:
    assert look.amount(value) == words


def test_a_log_axis_has_ticks_that_cover_its_ends() -> None:
    axis = look.log_axis(3e-4, 2e-2)
    assert axis["tickvals"][0] <= 3e-4
    assert axis["tickvals"][-1] >= 2e-2
    assert look.log_axis(1, 1e6)["ticktext"] == ["1", "10", "100", "1k", "10k", "100k", "1M"]
    narrow = look.log_axis(7.08e7, 7.28e7)  # between two of 1, 2, 5 times a power
    assert narrow["ticktext"] == ["70.8M", "71.5M", "72.1M", "72.8M"]


@pytest.mark.parametrize("goal", [1.0, -1.0])
def test_the_rim_is_on_the_bad_side_and_nothing_good_lies_beyond_an_end(goal: float) -> None:
    values = goal * np.array([1.0, 1.1, 1.2, 1.3, 50.0])
    rim, (low, high) = look.rim(values, goal)
    assert goal * rim > goal * look.limit(values, goal) >= 1.3
    assert goal * look.limit(values, goal) < 50
    assert low < min(rim, values[0])
    assert high > max(rim, values[0])
