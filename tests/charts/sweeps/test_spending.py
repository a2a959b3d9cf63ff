from __future__ import annotations

import math

import numpy as np
import pytest

from tests.charts.figures import validated
from tests.charts.sweeps.scene import START, at, log, make_attempt, make_run, make_sweep, make_trial
from webapp.charts.sweeps import budget, figure_of, options_of
from webapp.charts.sweeps.spending import spent_at, total
from webapp.runs.models import Attempt
from webapp.runs.states import Status
from webapp.sweeps.budget import spent
from webapp.sweeps.models import Sweep
from webapp.sweeps.states import TrialStatus

FACTS = {"flops": {"total": 6e12}}


def test_it_is_the_integral_of_what_runs_at_each_moment() -> None:
    random = np.random.default_rng(0)
    began = random.uniform(0, 100, 50)
    ended, rate = began + random.uniform(0, 40, 50), random.uniform(0, 3, 50)
    moments = np.array([0.0, 13.0, 50.0, 77.7, 200.0, math.nan])
    by_hand = [
        sum(r * (min(e, t) - b) for b, e, r in zip(began, ended, rate, strict=True) if t > b) for t in moments[:-1]
    ]
    np.testing.assert_allclose(total(began, ended, rate, moments), [*by_hand, math.nan])


@pytest.fixture
def sweep(db: None) -> Sweep:
    """A run of two attempts on two devices, and one that was stopped halfway."""
    sweep = make_sweep(budget={"gpu_hours": 1})
    first = make_run(make_trial(sweep, 1, [1.0]), began=0, ended=500, gpus=2, steps=100, facts=FACTS)
    Attempt.objects.filter(run=first).update(status=Status.LOST, ended_at=at(200), last_step=60)
    make_attempt(first, 2, 300, 500, Status.SUCCEEDED, resumed_from_step=40)
    second = make_run(make_trial(sweep, 2, [2.0], TrialStatus.STOPPED), began=100, ended=400,
                      status=Status.CANCELLED, steps=100, facts=FACTS)  # fmt: skip
    Attempt.objects.filter(run=second).update(last_step=50)
    log(second, {"system/gpu0/power_watts": {1: 100.0, 2: 300.0}})
    return sweep


def test_at_the_end_it_is_what_the_sweep_has_spent(sweep: Sweep) -> None:
    end = np.array([500.0])
    whole = spent(sweep)
    assert spent_at(sweep, end, "gpu_hours")[0] == pytest.approx(whole.gpu_hours)
    assert whole.gpu_hours == pytest.approx((400 * 2 + 300) / 3600)
    assert spent_at(sweep, end, "flops")[0] == pytest.approx(whole.flops)
    assert spent_at(sweep, end, "energy_kwh")[0] == pytest.approx(whole.energy_kwh)


def test_in_between_it_grows_while_something_runs(sweep: Sweep) -> None:
    moments = np.array([0.0, 100, 200, 300, 400, 500, 900])
    expected = np.cumsum([0, 200, 300, 100, 300, 200, 0]) / 3600
    np.testing.assert_allclose(spent_at(sweep, moments, "gpu_hours"), expected)


def test_the_budget_has_its_limit_and_what_has_a_limit_comes_first(sweep: Sweep) -> None:
    Sweep.objects.update(status="succeeded", ended_at=at(500))
    sweep.refresh_from_db()
    assert options_of("budget", sweep)[0].choices[0].value == "gpu_hours"
    data = budget.data(sweep)
    assert (data.limit, data.end, data.expected) == (1.0, None, None)
    assert data.times[0] == START.timestamp()
    assert data.spent[-1] == pytest.approx(1100 / 3600)
    assert (np.diff(data.spent) >= 0).all()
    figure = validated(budget.figure(data))
    assert [shape.y0 for shape in figure.layout.shapes] == [1.0]
    assert figure.layout.meta["caption"].startswith("0.3056 of 1 GPU-hours")


def test_trials_are_counted_when_they_are_over(sweep: Sweep) -> None:
    data = budget.data(sweep, "trials", now=at(1000))
    assert data.times.tolist() == [START.timestamp() + s for s in (0, 100, 200, 1000)]
    assert data.spent.tolist() == [0, 1, 2, 2]
    assert data.limit == 10


def test_a_running_sweep_shows_where_it_is_thought_to_end(sweep: Sweep) -> None:
    data = budget.data(sweep)
    assert data.end is not None
    assert data.expected is not None
    assert data.end > data.times[-1]
    assert data.expected > data.spent[-1]
    dotted = [trace for trace in figure_of("budget", sweep, {})["data"] if trace["name"] == "expected"]
    assert dotted[0]["line"]["dash"] == "dot"


@pytest.mark.django_db
def test_deadlines_are_verticals() -> None:
    sweep = make_sweep(budget={"wall_hours": 2, "deadline": "2026-01-01T05:00:00+00:00"})
    make_run(make_trial(sweep, 1, [1.0]), began=0, ended=100)
    data = budget.data(sweep, now=at(200))
    assert data.deadlines == {START.timestamp() + 5 * 3600: "deadline", START.timestamp() + 2 * 3600: "limit of 2 h"}
    validated(budget.figure(data))
