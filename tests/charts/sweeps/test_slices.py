from __future__ import annotations

import numpy as np
import pytest

from tests.charts.figures import validated
from tests.charts.sweeps.scene import definition, make_sweep, make_trial
from webapp.charts.sweeps import figure_of, options_of, slices
from webapp.charts.sweeps.trials import TrialRow, columns

SPACE = definition().search.space


def test_each_knob_has_the_trials_in_which_it_is_active() -> None:
    found = columns([
        TrialRow(1, {"optimizer.lr": 1e-3, "method.name": "full"}, "succeeded", [2.0]),
        TrialRow(2, {"optimizer.lr": 1e-2, "method.name": "lora", "method.rank": 8}, "succeeded", [1.0]),
        TrialRow(3, {"optimizer.lr": 1e-1, "method.name": "full"}, "failed", None),
    ])  # fmt: skip
    figure = slices.figure(slices.of(found, SPACE, "eval/loss", 1.0))
    drawn = {trace["name"]: trace for trace in figure["data"] if trace["name"] != "best"}
    assert drawn["optimizer.lr"]["x"] == [1e-3, 1e-2]
    assert drawn["optimizer.lr"]["y"] == [2.0, 1.0]
    assert drawn["method.rank"]["x"] == [8]
    assert drawn["method.rank"]["xaxis"] == "x3"
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["off in 1 of 2"]
    layout = validated(figure).layout
    assert layout.xaxis.type == "log"
    assert layout.xaxis2.ticktext == ("full", "lora")


@pytest.mark.django_db
def test_one_knob_may_be_chosen() -> None:
    sweep = make_sweep()
    make_trial(sweep, 1, [1.0])
    assert [choice.value for choice in options_of("slices", sweep)[0].choices] == ["all", *SPACE]
    figure = figure_of("slices", sweep, {"knob": "method.name"})
    assert {trace["xaxis"] for trace in figure["data"]} == {"x"}
    assert figure["layout"]["xaxis"]["title"]["text"] == "method.name"


def test_thousands_of_trials_are_thinned_in_all_slices_together() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    found = columns([TrialRow(n, {"optimizer.lr": 0.01, "method.name": "full"}, "succeeded", [v])
                     for n, v in enumerate(values.tolist())])  # fmt: skip
    data = slices.of(found, SPACE, "eval/loss", 1.0)
    assert len(data.shown) * len(data.knobs) <= slices.MOST_DOTS + len(data.knobs)
    assert int(np.argmin(values)) in data.shown
