from __future__ import annotations

import numpy as np

from tests.charts.figures import is_shown_in_every_figure, validated
from webapp.charts import histograms
from webapp.metrics.media.items import Histogram
from webapp.metrics.media.queries import Spread


def test_each_bar_is_as_wide_as_its_bin() -> None:
    figure = histograms.bars(Histogram(np.array([0.0, 1, 4]), np.array([5.0, 2])))
    assert is_shown_in_every_figure(figure)
    [trace] = figure["data"]
    assert (trace["x"], trace["width"], trace["offset"], trace["y"]) == ([0, 1], [1, 3], 0, [5, 2])


def test_a_column_over_time_is_shares_of_its_own_count() -> None:
    counts = np.array([[1.0, 0, 0], [3, 10, 0]])
    figure = histograms.over_time(Spread(np.array([1, 5, 9]), np.array([0.0, 2, 4]), counts))
    assert is_shown_in_every_figure(figure)
    [trace] = figure["data"]
    assert (trace["x"], trace["y"]) == ([1, 5, 9], [1, 3])
    assert trace["z"] == [[0.25, 0, 0], [0.75, 1, 0]]


def test_no_histogram_is_no_figure() -> None:
    nothing = Spread(np.empty(0, np.int64), np.empty(0), np.empty((64, 0)))
    assert validated(histograms.over_time(nothing)).data == ()
