from __future__ import annotations

import math

import numpy as np
import pytest

from tests.charts.sweeps.scene import at, make_sweep, make_trial
from webapp.charts.sweeps import best_so_far
from webapp.charts.sweeps.trials import TrialRow, columns, read, thinned
from webapp.sweeps.states import TrialStatus


def test_what_is_missing_is_no_number() -> None:
    found = columns([
        TrialRow(1, {}, "succeeded", [1.0, None]), TrialRow(2, {}, "running", None),
        TrialRow(3, {}, "succeeded", [1.0]), TrialRow(4, {}, "succeeded", [1.0, 2.0]),
    ], 2)  # fmt: skip
    nan = math.nan
    np.testing.assert_equal(found.values, [[1, nan], [nan, nan], [nan, nan], [1, 2]])
    assert found.has_succeeded.tolist() == [False, False, False, True]


def test_no_trials_are_columns_of_length_zero() -> None:
    assert columns([], 3).values.shape == (0, 3)
    assert columns([]).has_succeeded.tolist() == []


@pytest.mark.django_db
def test_trials_are_read_by_number_with_or_without_their_points() -> None:
    sweep = make_sweep()
    make_trial(sweep, 2, [5.0], params={"a": 1})
    make_trial(sweep, 1, None, TrialStatus.OUT_OF_MEMORY)
    found = read(sweep)
    assert found.numbers.tolist() == [1, 2]
    assert found.params[1] == {"a": 1}
    assert found.is_bad.tolist() == [True, False]
    assert found.ended.tolist() == [at(100).timestamp(), at(200).timestamp()]
    assert read(sweep, params=False).params == [{}, {}]


@pytest.mark.parametrize("count", [0, 1, 10, 11, 5000])
def test_thinning_keeps_both_ends_and_what_must_stay(count: int) -> None:
    kept = [place for place in (3, 777) if place < count]
    chosen = thinned(count, 10, kept)
    assert len(chosen) == len(set(chosen)) <= 10 + len(kept)
    assert set(kept) <= set(chosen)
    if count:
        assert (chosen[0], chosen[-1]) == (0, count - 1)


@pytest.mark.django_db
def test_imported_trials_have_spent_nothing_and_this_is_said() -> None:
    sweep = make_sweep()
    make_trial(sweep, 1, [1.0], source="imported", ended_at=None)
    assert best_so_far.data(sweep).best == 0
    figure = best_so_far.figure(best_so_far.data(sweep, x="hours"))
    assert figure["layout"]["annotations"][0]["text"] == "No trial with runs of its own has succeeded yet."
