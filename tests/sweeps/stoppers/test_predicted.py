"""Stopping on the predicted final value: what it may stop, and how seldom it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from tests.sweeps.stoppers.curves import FAMILIES, LAST, curve, ended, simulated
from webapp.sweeps.curves import Curve, Decision
from webapp.sweeps.stoppers import predicted

KNOBS = predicted.Knobs(name="predicted", top=3, min_points=4)
POINTS = 16
SWEEPS = 5


def swept(
    family: str, seed: int, trials: int = 24, slots: int = 3
) -> tuple[set[int], set[int], list[tuple[dict, float]]]:
    """A whole sweep on `slots` slots: (stopped, true best three, [(forecast, true final value)])."""
    steps, values = simulated(family, trials, POINTS, seed)
    come, judged = dict.fromkeys(range(trials), 0), dict.fromkeys(range(trials), 0)
    stopped: set[int] = set()
    told = []

    def seen(number: int) -> Curve:
        points = come[number]
        over = number in stopped or points == POINTS
        return Curve(number + 1, steps[:points], values[number, :points], LAST, over, points == POINTS, judged[number])

    def is_open(number: int) -> bool:
        return number not in stopped and come[number] < POINTS

    while active := [number for number in range(trials) if is_open(number)][:slots]:
        for number in active:
            come[number] += 1
            others = [seen(other) for other in range(trials) if other != number and come[other]]
            decision = predicted.decide(KNOBS, seen(number), others)
            if decision is not None:
                judged[number] = decision.judged_step
                assert decision.forecast is not None
                told.append((decision.forecast, float(values[number, -1])))
                stopped |= {number} if decision.stop else set()
    return stopped, set(np.argsort(values[:, -1])[:3].tolist()), told


@pytest.mark.parametrize("family", FAMILIES)
def test_stops_are_wrong_no_more_often_than_the_stated_chance(family: str) -> None:
    """Of all stops over independent sweeps at most 5 % hit a trial of the final top three, plus binomial slack."""
    stops = wrong = 0
    for seed in range(SWEEPS):
        stopped, best, _ = swept(family, seed)
        stops, wrong = stops + len(stopped), wrong + len(stopped & best)
    assert stops > SWEEPS * 24 / 3, "it must be of use"
    assert wrong <= binom.ppf(0.999, stops, KNOBS.chance)


def test_every_decision_carries_its_forecast_and_bands_hold() -> None:
    _, _, told = swept("power", 11)
    for forecast, _final in told:
        assert forecast.keys() == {"step", "target_step", "mean", "low", "high", "chance"}
        assert forecast["low"] < forecast["mean"] < forecast["high"] and 0 <= forecast["chance"] <= 1
        assert forecast["step"] < forecast["target_step"] == LAST
    assert np.mean([forecast["low"] <= final <= forecast["high"] for forecast, final in told]) > 0.8


def scene(count: int = 20, points: int = 8) -> tuple[Curve, list[Curve]]:
    """A trial far behind siblings that have ended."""
    steps, values = simulated("power", count, POINTS, 1)
    worst = curve(1, values[0, :points] + 10, steps[:points])
    return worst, [ended(number, row, steps) for number, row in enumerate(values[1:], 2)]


def decide(trial: Curve, others: list[Curve], **knobs: float) -> Decision | None:
    return predicted.decide(predicted.Knobs(name="predicted", **knobs), trial, others)  # type: ignore[arg-type]


def test_a_hopeless_trial_is_stopped_and_the_reason_gives_chance_and_value() -> None:
    trial, others = scene()
    decision = decide(trial, others)
    assert decision is not None and decision.stop and decision.forecast is not None
    assert decision.forecast["chance"] < 0.05
    mean = decision.forecast["mean"]
    assert decision.reason == f"its chance to end as the best is 0.0%: {mean:.4g} is foretold for step 1000"


def test_with_no_or_few_siblings_that_have_ended_it_goes_on() -> None:
    trial, others = scene()
    running = [curve(item.trial, item.values[:12], item.steps[:12]) for item in others]
    for few in ([], others[:4], running, others[:4] + running[4:]):
        decision = decide(trial, few)
        assert decision is not None and not decision.stop and decision.forecast is not None


def test_while_fewer_than_k_others_compete_the_chance_is_1() -> None:
    trial, others = scene()
    decision = decide(trial, others[:6], top=7)
    assert decision is not None and decision.forecast is not None and decision.forecast["chance"] == 1


def test_it_waits_for_its_steps_and_points() -> None:
    trial, others = scene()
    assert decide(trial, others, min_steps=int(trial.steps[-1]) + 1) is None
    assert decide(trial, others, min_points=len(trial.steps) + 1) is None
    assert decide(trial, others, min_points=len(trial.steps)) is not None


def test_a_sibling_that_trains_counts_with_its_own_uncertainty() -> None:
    """Against a twin that has come as far the chance is one half, whatever the model says; against two, a third."""
    _, others = scene(count=16)
    best = curve(1, [1.0, 0.5, 0.3, 0.2, 0.15, 0.12], others[0].steps[:6])
    worse = [other._replace(values=other.values + 50) for other in others]
    for twins in range(3):
        decision = decide(best, worse + [best._replace(trial=100 + number) for number in range(twins)])
        assert decision is not None and decision.forecast is not None
        share = 1 / (1 + twins)
        assert decision.forecast["chance"] == pytest.approx(share, abs=4 * np.sqrt(0.25 / predicted.SAMPLES))


def test_a_sibling_that_trains_for_another_time_competes_but_teaches_nothing() -> None:
    trial, others = scene()
    longer = [other._replace(last_step=2 * LAST, steps=other.steps * 2) for other in others]
    one, other = decide(trial, longer), decide(trial, [])
    assert one is not None and other is not None and one.forecast is not None and other.forecast is not None
    assert one.forecast["mean"] == other.forecast["mean"] and one.forecast["chance"] < other.forecast["chance"] == 1


def test_a_thousand_siblings_and_ten_thousand_points_are_thinned() -> None:
    steps, values = simulated("power", 4, 10_000, 2)
    others = [ended(number, values[number % 3 + 1] + number / 100, steps) for number in range(2, 400)]
    decision = decide(curve(1, values[0, :5000], steps[:5000]), others)
    assert decision is not None and decision.forecast is not None
    assert abs(decision.forecast["mean"] - values[0, -1]) < 0.5
