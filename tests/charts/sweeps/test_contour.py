from __future__ import annotations

import numpy as np
import pytest

from tests.charts.figures import validated
from tests.charts.sweeps.scene import definition, make_sweep, make_trial
from webapp.charts.sweeps import contour, figure_of, knobs
from webapp.charts.sweeps.trials import TrialRow, Trials, columns
from webapp.sweeps.definition import Choices, Range

RANDOM = np.random.default_rng(0)
X, Y = Range(low=0, high=1), Range(low=1e-4, high=1, log=True)


def points(count: int) -> Trials:
    """The value is linear in x and in log y."""
    x, y = RANDOM.uniform(0, 1, count), 10 ** RANDOM.uniform(-4, 0, count)
    values = 3 + 2 * x + np.log10(y)
    rows = zip(x.tolist(), y.tolist(), values.tolist(), strict=True)
    return columns([TrialRow(n, {"x": a, "y": b}, "succeeded", [v]) for n, (a, b, v) in enumerate(rows, 1)])


def drawn(found: Trials) -> contour.ContourData:
    x, y = knobs.knob("x", X, found.params), knobs.knob("y", Y, found.params)
    return contour.of(found, x, y, "eval/loss", 1.0)


def test_between_the_points_a_plane_is_a_plane_in_the_scale_it_is_drawn_in() -> None:
    surface = drawn(points(400)).surface
    assert surface is not None
    expected = 3 + 2 * surface.x[None, :] + np.log10(surface.y)[:, None]
    known = np.isfinite(surface.z)
    assert known.mean() > 0.9
    np.testing.assert_allclose(surface.z[known], expected[known], atol=1e-9)


def test_the_surface_stays_away_from_where_nothing_was_tried() -> None:
    corners = [(a, b) for a in (0.0, 0.05, 0.95, 1.0) for b in (1e-4, 2e-4, 0.5, 1.0)]
    found = columns([TrialRow(n, {"x": a, "y": b}, "succeeded", [a]) for n, (a, b) in enumerate(corners)])
    surface = drawn(found).surface
    assert surface is not None
    middle = contour.CELLS // 2
    assert np.isnan(surface.z[middle, middle])
    assert np.isfinite(surface.z[1, 1])


def test_categories_and_few_points_have_no_surface() -> None:
    assert drawn(points(5)).surface is None
    found = columns([TrialRow(n, {"x": "ab"[n % 2], "y": 0.1 * n}, "succeeded", [1.0]) for n in range(1, 20)])
    x, y = knobs.knob("x", Choices(choices=["a", "b"]), found.params), knobs.knob("y", Y, found.params)
    figure = contour.figure(contour.of(found, x, y, "eval/loss", 1.0))
    assert [trace["type"] for trace in validated(figure).data] == ["scatter", "scatter"]
    assert "no surface" in figure["layout"]["meta"]["caption"]


def test_points_on_one_line_have_no_surface() -> None:
    found = columns([TrialRow(n, {"x": n / 20, "y": 10 ** (-n / 5)}, "succeeded", [1.0]) for n in range(1, 20)])
    figure = contour.figure(drawn(found))
    validated(figure)


@pytest.mark.django_db
def test_numbers_are_shown_first_and_the_same_knob_twice_is_refused_in_words() -> None:
    sweep = make_sweep()
    make_trial(sweep, 1, [1.0], params={"optimizer.lr": 0.01, "method.name": "lora", "method.rank": 4})
    figure = figure_of("contour", sweep, {})
    assert figure["layout"]["xaxis"]["title"]["text"] == "optimizer.lr"
    assert figure["layout"]["yaxis"]["title"]["text"] == "method.rank"
    assert list(definition().search.space)[1] == "method.name"
    same = figure_of("contour", sweep, {"y": "optimizer.lr"})
    assert same["layout"]["annotations"][0]["text"] == "Both sides are the same knob: choose two."
