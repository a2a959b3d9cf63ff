"""Best of k trials: against every subset of a planted search, with what failed counted as nothing."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean
from typing import Any

import pytest

from tests.sweeps.protocols.study import Series, row
from webapp.sweeps.protocols import eff_at_k as protocol


def knobs(**changes: Any) -> protocol.Knobs:
    return protocol.Knobs(name="eff_at_k", **changes)


def rows_of(losses: list[float | None]) -> list[Any]:
    return [
        row({"lr": n}, loss, trial=n, status="succeeded" if loss is not None else "diverged")
        for n, loss in enumerate(losses)
    ]


def test_it_is_the_mean_over_all_subsets_with_failed_trials_as_nothing() -> None:
    losses = [4.0, 2.0, None, 3.0, 2.5]
    result = protocol.analyse(knobs(limit=5.0, reference=1.0), rows_of(losses), Series(), {})
    gained = [0.0 if loss is None else (5 - loss) / 4 for loss in losses]
    for best in result.bests:
        expected = fmean(max(some) for some in combinations(gained, best.k))
        assert best.efficiency == pytest.approx(expected)
        assert best.value == pytest.approx(5 - 4 * expected)
    assert [best.k for best in result.bests] == [1, 2, 4, 5]


def test_limit_and_reference_are_by_default_the_worst_and_the_best_that_was_measured() -> None:
    result = protocol.analyse(knobs(), rows_of([4.0, 2.0, 3.0]), Series(), {})
    assert (result.limit, result.reference) == (4.0, 2.0)
    assert result.bests[-1].efficiency == 1
    turned = protocol.analyse(knobs(goal="maximize"), rows_of([4.0, 2.0]), Series(), {})
    assert (turned.limit, turned.reference, turned.bests[-1].value) == (2.0, 4.0, 4.0)


def test_open_and_cancelled_trials_are_left_out_and_stopped_ones_count_as_nothing() -> None:
    rows = [*rows_of([4.0, 2.0]), row({}, 1.0, trial=8, status="stopped"), row({}, trial=9, status="cancelled"),
            row({}, trial=10, status="queued")]  # fmt: skip
    result = protocol.analyse(knobs(ks=[1]), rows, Series(), {})
    assert result.bests[0].efficiency == pytest.approx((0 + 1 + 0) / 3)


def test_trials_that_are_all_alike_have_nothing_to_gain() -> None:
    result = protocol.analyse(knobs(), rows_of([2.0, 2.0]), Series(), {})
    assert result.bests == [] and any("nothing to gain" in note for note in result.notes)
