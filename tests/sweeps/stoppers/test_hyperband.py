"""Hyperband's brackets, with the numbers of the paper."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.sweeps.stoppers.curves import curve
from webapp.sweeps.stoppers import hyperband

KNOBS = hyperband.Knobs(name="hyperband", min_steps=1, reduction=3)


def test_shares_are_those_of_the_paper_s_algorithm() -> None:
    """R = 81, eta = 3 by line 2: ceil(5/5 81), ceil(5/4 27), ceil(5/3 9), ceil(5/2 3), 5."""
    assert hyperband.shares(5, 3) == [81, 34, 15, 8, 5]


def bracket(number: int) -> int:
    return hyperband.bracket_of(KNOBS, curve(number, [1.0], last_step=81))


@pytest.mark.parametrize("trials", [30, 143, 1000])
def test_the_first_trials_are_dealt_out_in_proportion(trials: int) -> None:
    found = Counter(bracket(number) for number in range(1, trials + 1))
    for place, share in enumerate(hyperband.shares(5, 3)):
        assert abs(found[place] - trials * share / 143) <= 2


def test_a_trial_meets_only_those_of_its_bracket() -> None:
    eager, patient = ([n for n in range(1, 200) if bracket(n) == wanted] for wanted in (0, 1))
    worse = curve(eager[0], [9.0], [1], last_step=81)
    others = [curve(number, [1.0], [1], last_step=81) for number in patient]
    assert hyperband.decide(KNOBS, worse, others) == (False, 1, "", None)
    same = [curve(number, [1.0], [1], last_step=81) for number in eager[1:5]]
    decision = hyperband.decide(KNOBS, worse, others + same)
    assert decision is not None and decision.stop and "of 5 trials" in decision.reason


def test_a_later_bracket_begins_later_and_the_last_stops_nobody() -> None:
    for number in range(1, 30):
        first = 3 ** bracket(number)
        early = curve(number, [9.0], [max(first - 1, 0)], last_step=81)
        others = [curve(n, [1.0], [81], last_step=81, is_over=True) for n in range(200, 300)]
        assert hyperband.decide(KNOBS, early, others) is None
        late = hyperband.decide(KNOBS, curve(number, [9.0] * 80, range(1, 81), last_step=81), others)
        assert (late is None) == (bracket(number) == 4)
