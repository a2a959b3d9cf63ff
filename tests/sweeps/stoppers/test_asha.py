"""ASHA against the arithmetic of the paper and against Optuna's successive halving."""

from __future__ import annotations

import numpy as np
import pytest

from tests.sweeps.stoppers.curves import curve
from webapp.sweeps.stoppers import asha

KNOBS = asha.Knobs(name="asha", min_steps=10, reduction=3)


def at(value: float, number: int = 1, reached: int = 10, judged_step: int = 0):
    return curve(number, [value] * (reached // 10), judged_step=judged_step)


def test_rungs_lie_at_powers_of_the_reduction_and_not_at_the_end() -> None:
    assert list(asha.rungs(10, 3, 1000)) == [10, 30, 90, 270, 810]
    assert list(asha.rungs(10, 3, 90)) == [10, 30]
    assert list(asha.rungs(10, 3, 10)) == []


def test_nobody_is_stopped_while_fewer_than_the_reduction_have_come() -> None:
    assert asha.decide(KNOBS, at(9), []) == (False, 10, "", None)
    assert asha.decide(KNOBS, at(9), [at(1, 2)]) == (False, 10, "", None)
    decision = asha.decide(KNOBS, at(9), [at(1, 2), at(2, 3)])
    assert decision is not None and decision.stop


@pytest.mark.parametrize(("others", "goes_on"), [(2, 1), (4, 1), (5, 2), (7, 2), (8, 3), (26, 9)])
def test_the_best_third_rounded_down_goes_on(others: int, goes_on: int) -> None:
    """floor(n / 3) of n = others + 1 values."""
    values = [10.0 * (place + 1) for place in range(others)]
    for place in range(others + 1):
        trial = at(10.0 * place + 5)
        decision = asha.decide(KNOBS, trial, [at(value, 2 + number) for number, value in enumerate(values)])
        assert decision is not None and decision.stop == (place >= goes_on)


def test_equals_of_the_last_that_goes_on_go_on() -> None:
    decision = asha.decide(KNOBS, at(1), [at(1, 2), at(1, 3), at(2, 4)])
    assert decision is not None and not decision.stop


def test_only_those_count_that_have_come_to_the_rung() -> None:
    early = [curve(number, [1.0], [9]) for number in range(2, 30)]
    assert asha.decide(KNOBS, at(9), early) == (False, 10, "", None)


def test_a_value_at_a_rung_is_the_last_one_before_it() -> None:
    trial = curve(1, [1.0, 9.0], [8, 12])
    others = [curve(number, [2.0, 0.0], [8, 12]) for number in range(2, 8)]
    assert asha.decide(KNOBS, trial, others) == (False, 10, "", None)


def test_a_trial_that_has_passed_two_rungs_is_judged_at_both() -> None:
    trial = curve(1, [1.0, 1.0, 9.0])
    others = [curve(number, [2.0, 2.0, 2.0]) for number in range(2, 8)]
    decision = asha.decide(KNOBS, trial, others)
    assert decision is not None and (decision.stop, decision.judged_step) == (True, 30)
    assert asha.decide(KNOBS, trial._replace(judged_step=30), others) is None


def test_it_agrees_with_optuna_s_asynchronous_successive_halving() -> None:
    """Trials one after the other; while fewer than the reduction have come, Optuna lets only the best so far go on."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    random = np.random.default_rng(0)
    values = random.normal(size=(60, 100))
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=10, reduction_factor=3)
    study = optuna.create_study(pruner=pruner)
    seen: list = []
    compared = 0
    for number, row in enumerate(values, 1):
        trial = study.ask()
        judged, pruned, stopped = 0, 0, 0
        for place, value in enumerate(row):
            trial.report(value, place + 1)
            own = curve(number, row[: place + 1], np.arange(1, place + 2), last_step=101, judged_step=judged)
            decision = asha.decide(KNOBS, own, seen)
            judged = decision.judged_step if decision else judged
            peers = sum(len(other.steps) > place for other in seen)
            stopped = place + 1 if decision and decision.stop else 0
            pruned = place + 1 if trial.should_prune() else 0
            if place + 1 in (10, 30, 90) and peers >= 2:
                compared += 1
                assert bool(stopped) == bool(pruned), (number, place + 1)
            if pruned:
                break
        study.tell(trial, **({"state": optuna.trial.TrialState.PRUNED} if pruned else {"values": row[place]}))
        seen.append(curve(number, row[: place + 1], np.arange(1, place + 2), last_step=101, is_over=True))
    assert compared > 60
