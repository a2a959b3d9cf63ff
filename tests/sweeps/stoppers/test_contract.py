"""What every stopper must keep to, whichever files there are."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sweeps.stoppers.curves import LAST, curve, ended, simulated
from webapp.sweeps import registry
from webapp.sweeps.curves import Curve, Decision

STOPPERS = sorted(registry.entries("stoppers"))
RANKED = ("asha", "hyperband", "median")  # those that only compare


def knobs_of(name: str, **given_: Any) -> registry.Knobs:
    """The defaults; a knob without one gets a value with which it has something to do."""
    model = registry.entries("stoppers")[name].knobs
    required = {key for key, field in model.model_fields.items() if field.is_required()} - {"name"}
    usual = {key: 2.0 if model.model_fields[key].annotation is float else 100 for key in required}
    return model(name=name, **usual | given_)


def decide(name: str, trial: Curve, others: list[Curve], **given_: Any) -> Decision | None:
    decision: Decision | None = registry.entries("stoppers")[name].module.decide(
        knobs_of(name, **given_), trial, others
    )
    return decision


def cohort(seed: int = 0, count: int = 12, points: int = 20) -> list[Curve]:
    steps, values = simulated("power", count, points, seed)
    return [ended(number, row, steps) for number, row in enumerate(values, 1)]


def improving(points: int = 20) -> Curve:
    """One that gets better all along."""
    whole = cohort(points=points)[0]
    return whole._replace(values=np.minimum.accumulate(whole.values) - np.arange(points) * 1e-3)


def part(whole: Curve, points: int, judged_step: int = 0) -> Curve:
    return curve(whole.trial, whole.values[:points], whole.steps[:points], judged_step=judged_step)


def scaled(curves: list[Curve], factor: float, offset: float) -> list[Curve]:
    return [item._replace(values=item.values * factor + offset) for item in curves]


@pytest.mark.parametrize("name", STOPPERS)
def test_a_trial_without_a_value_goes_on(name: str) -> None:
    decision = decide(name, curve(99, []), cohort())
    assert decision is None or not decision.stop


@pytest.mark.parametrize("name", STOPPERS)
def test_a_trial_alone_that_gets_better_goes_on(name: str) -> None:
    for points in range(1, 20):
        decision = decide(name, part(improving(), points), [], **({"value": 1e9} if name == "threshold" else {}))
        assert decision is None or not decision.stop


@pytest.mark.parametrize("name", STOPPERS)
def test_nothing_is_changed_and_the_same_is_decided_again(name: str) -> None:
    trial, *others = cohort()
    before = [item.values.copy() for item in others]
    first, second = (decide(name, part(trial, 12), others) for _ in range(2))
    assert first == second
    assert all(np.array_equal(item.values, copy) for item, copy in zip(others, before, strict=True))


@pytest.mark.parametrize("name", STOPPERS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_breaks_nothing_and_never_wins(name: str, bad: float) -> None:
    trial, *others = cohort()
    broken = [item._replace(values=np.full(len(item.values), bad)) for item in others]
    partly = [item._replace(values=np.where(np.arange(20) % 3, item.values, bad)) for item in others]
    for points in range(1, 20):
        best = decide(name, part(improving(), points), broken, **({"value": 1e9} if name == "threshold" else {}))
        assert best is None or not best.stop, "compared with nothing but broken trials it is the best"
        decide(name, part(trial, points), partly)
        decide(name, part(partly[0], points), others)


@pytest.mark.parametrize("name", (*RANKED, "threshold"))
def test_a_trial_that_is_no_number_is_stopped_among_those_that_are(name: str) -> None:
    broken = curve(1, [math.nan] * 15)
    crowd = [ended(number, item.values, item.steps) for number, item in enumerate(cohort(count=40), 2)]
    assert any((found := decide(name, broken._replace(trial=number), crowd)) and found.stop for number in (1, 41, 42))


@pytest.mark.parametrize("name", STOPPERS)
def test_the_trial_that_is_best_all_along_is_never_stopped(name: str) -> None:
    for seed in range(5):
        others = cohort(seed)
        best = others[0]._replace(trial=50, values=np.min([item.values for item in others], axis=0) - 0.5)
        best = best._replace(values=np.minimum.accumulate(best.values) - np.arange(20) * 1e-3)
        judged = 0
        for points in range(1, 20):
            decision = decide(name, part(best, points, judged), others)
            assert decision is None or not decision.stop
            judged = decision.judged_step if decision else judged


@pytest.mark.parametrize("name", STOPPERS)
@given(order=st.permutations(range(11)), points=st.integers(1, 19))
@settings(max_examples=15, deadline=None)
def test_the_order_of_the_others_does_not_matter(name: str, order: list[int], points: int) -> None:
    trial, *others = cohort()
    running = [part(item, 15) if number % 3 == 0 else item for number, item in enumerate(others)]
    assert decide(name, part(trial, points), running) == decide(name, part(trial, points), [running[i] for i in order])


@pytest.mark.parametrize("name", RANKED)
@given(
    factor=st.sampled_from([1e-6, 0.5, 2.0, 1e6]), offset=st.sampled_from([-8.0, 0.0, 64.0]), number=st.integers(0, 11)
)
@settings(max_examples=25, deadline=None)
def test_comparisons_do_not_depend_on_units(name: str, factor: float, offset: float, number: int) -> None:
    curves = cohort(seed=3)
    changed = scaled(curves, factor, offset)
    for points in range(1, 20):
        one = decide(name, part(curves[number], points), curves[:number] + curves[number + 1 :])
        other = decide(name, part(changed[number], points), changed[:number] + changed[number + 1 :])
        assert (one and (one.stop, one.judged_step)) == (other and (other.stop, other.judged_step))


@pytest.mark.parametrize("name", STOPPERS)
def test_judged_steps_only_rise_and_no_step_is_judged_twice(name: str) -> None:
    trial, *others = cohort()
    judged = 0
    for points in range(1, 21):
        decision = decide(name, part(trial, points, judged), others)
        if decision is not None:
            assert judged < decision.judged_step <= trial.steps[points - 1]
            judged = decision.judged_step
            assert decide(name, part(trial, points, judged), others) is None


@pytest.mark.parametrize("name", STOPPERS)
def test_a_trial_that_has_come_to_its_end_is_not_stopped(name: str) -> None:
    others = cohort()
    worst = curve(77, [50.0] * 20, others[0].steps, last_step=LAST, judged_step=int(others[0].steps[-2]))
    decision = decide(name, worst, others, **({"step": LAST} if name == "threshold" else {}))
    assert decision is None or not decision.stop


@pytest.mark.parametrize("name", STOPPERS)
def test_a_hopeless_trial_is_stopped_with_a_clause_that_says_why(name: str) -> None:
    """Flat and far above all others. The clause stands behind "Stopped early:"."""
    others = [ended(number, item.values, item.steps) for number, item in enumerate(cohort(count=40), 2)]
    decisions = [decide(name, curve(number, [50.0] * 15, others[0].steps[:15]), others) for number in (1, 42, 43)]
    stopped = [decision for decision in decisions if decision and decision.stop]
    assert stopped
    for decision in stopped:
        assert re.fullmatch(r"[a-z0-9][^\n;!?]*[^.]", decision.reason) and ". " not in decision.reason
