"""How often bands held and stops were wrong, counted by hand and over a simulated sweep."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from tests.sweeps import scene
from webapp.sweeps import calibration
from webapp.sweeps.models import Trial
from webapp.sweeps.states import TrialStatus


def band(low: float, high: float, chance: float = 0.5) -> dict[str, Any]:
    return {"step": 10, "target_step": 100, "mean": (low + high) / 2, "low": low, "high": high, "chance": chance}


def test_only_trials_that_ran_to_their_end_count() -> None:
    forecasts = {1: [band(0, 1), band(0.4, 0.6), band(0.6, 0.7)], 2: [band(0, 1)], 3: []}
    told = calibration.accuracy(forecasts, {1: 0.5, 3: 0.1})
    assert (told.n, told.trials, told.inside, told.share_inside) == (3, 1, 2, 2 / 3)
    assert (told.stops, told.resumed, told.wrong_stops, told.stated) == (0, 0, 0, 0.9)


def test_without_an_end_there_is_no_share() -> None:
    assert calibration.accuracy({1: [band(0, 1)]}, {}).share_inside is None


def test_a_final_value_that_is_no_number_lies_in_no_band_and_is_not_best() -> None:
    told = calibration.accuracy({1: [band(0, 1)]}, {1: math.nan, 2: 3.0}, {1}, top=2)
    assert (told.inside, told.wrong_stops) == (0, 0)


@pytest.mark.parametrize(("top", "wrong"), [(1, 0), (2, 1), (3, 2)])
def test_a_stop_was_wrong_when_the_resumed_trial_ended_among_the_best(top: int, wrong: int) -> None:
    finals = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}
    told = calibration.accuracy({}, finals, {2, 3, 9}, top)
    assert (told.stops, told.resumed, told.wrong_stops) == (3, 2, wrong)


def test_bands_of_a_true_forecaster_hold_as_often_as_stated() -> None:
    random = np.random.default_rng(0)
    middles = random.normal(0, 1, 2000)
    reach = norm.ppf(0.95)
    forecasts = {number: [band(middle - reach, middle + reach)] for number, middle in enumerate(middles)}
    finals = {number: float(random.normal(middle, 1)) for number, middle in enumerate(middles)}
    share = calibration.accuracy(forecasts, finals).share_inside
    assert share == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / 2000))


@pytest.mark.django_db
def test_a_sweep_s_forecasts_are_held_against_its_values_in_their_sign() -> None:
    """An accuracy of 0.8 that is maximised is foretold as -0.8."""
    stopper = {"name": "predicted", "top": 2}
    sweep = scene.create(objective={"metric": "eval/accuracy", "goal": "maximize"}, stopper=stopper)
    ended = {"status": TrialStatus.SUCCEEDED}
    rows = [
        {**ended, "values": [0.8], "forecasts": [band(-0.9, -0.7), band(-0.7, -0.6)]},
        {**ended, "values": [0.9], "forecasts": [band(-0.95, -0.85, 0.01)], "spared": True},
        {**ended, "values": [0.1], "forecasts": [band(-0.2, 0.0, 0.02)], "spared": True},
        {"status": TrialStatus.STOPPED, "values": [0.3], "forecasts": [band(-0.4, -0.2)]},
        {**ended, "values": [0.2], "forecasts": [], "spared": True},  # cancelled by a person, then resumed
    ]
    for number, row in enumerate(rows, 1):
        Trial.objects.create(sweep=sweep, number=number, params={}, **row)
    told = calibration.of_sweep(sweep)
    assert (told.n, told.trials, told.inside) == (4, 3, 3)
    assert (told.stops, told.resumed, told.wrong_stops) == (3, 2, 1)
