from __future__ import annotations

import pytest

from tests.charts.figures import validated
from tests.charts.sweeps.scene import definition, log, make_run, make_sweep, make_trial
from webapp.accounts.errors import Invalid
from webapp.charts.sweeps import charts_of, figure_of, forecasts, options_of
from webapp.sweeps.models import Sweep
from webapp.sweeps.states import TrialStatus


def told(step: int, mean: float, low: float, high: float) -> dict[str, float]:
    return {"step": step, "target_step": 100, "mean": mean, "low": low, "high": high, "chance": 0.2}


@pytest.fixture
def sweep(db: None) -> Sweep:
    """More is better, so what is kept is turned: a foretold -0.8 is an accuracy of 0.8."""
    sweep = make_sweep(objective={"metric": "eval/accuracy", "goal": "maximize"}, stopper="predicted")
    first = make_trial(sweep, 1, [0.8], forecasts=[told(20, -0.7, -0.75, -0.6), told(40, -0.8, -0.85, -0.7)])
    log(make_run(first, values=[0.8], steps=100), {"eval/accuracy": {20: 0.4, 40: 0.6, 100: 0.8}})
    second = make_trial(sweep, 2, [0.3], TrialStatus.STOPPED, forecasts=[told(20, -0.4, -0.5, -0.3)])
    log(make_run(second, steps=100), {"eval/accuracy": {20: 0.3}})
    make_trial(sweep, 3, [0.5])
    return sweep


def test_forecasts_count_as_right_when_the_end_was_in_their_band(sweep: Sweep) -> None:
    data = forecasts.data(sweep, "1")
    assert (data.accuracy.inside, data.accuracy.n) == (
        1,
        2,
    )  # 0.8 is not in 0.6 to 0.75, and is in 0.7 to 0.85; trial 2 never came to its end
    assert data.final == 0.8
    assert data.band is not None
    assert data.band.low.tolist() == [0.6, 0.7]
    assert data.band.high.tolist() == [0.75, 0.85]
    figure = forecasts.figure(data)
    validated(figure)
    assert figure["layout"]["meta"]["caption"] == "the 90% band held 1 of 2"
    assert figure["data"][-1]["y"] == [0.8]


def test_a_stopped_trial_shows_what_was_foretold_and_its_chance(sweep: Sweep) -> None:
    figure = figure_of("forecasts", sweep, {})  # the newest
    validated(figure)
    assert figure["layout"]["meta"]["caption"].endswith("its chance at last 20.0%")
    foretold = next(trace for trace in figure["data"] if trace["name"].startswith("what was foretold"))
    assert (foretold["x"], foretold["y"]) == ([100], [0.4])
    assert foretold["error_y"]["array"] == [pytest.approx(0.1)]
    assert foretold["error_y"]["arrayminus"] == [pytest.approx(0.1)]


def test_any_trial_may_be_asked_for_by_its_number(sweep: Sweep) -> None:
    assert [choice.value for choice in options_of("forecasts", sweep)[0].choices] == ["2", "1"]
    none = figure_of("forecasts", sweep, {"trial": "3"})
    assert none["layout"]["annotations"][0]["text"] == "Nothing has been foretold of this trial."
    figure_of("forecasts", sweep, {"trial": "99"})
    with pytest.raises(Invalid, match="trial must be a whole number, not 'best'"):
        figure_of("forecasts", sweep, {"trial": "best"})


def test_it_applies_where_final_values_are_predicted() -> None:
    assert "forecasts" in [chart.name for chart in charts_of(definition(stopper="predicted"))]
    assert "forecasts" not in [chart.name for chart in charts_of(definition())]
