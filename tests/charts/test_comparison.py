"""Quality against what it takes: the points are the comparison's, and nothing that is left out goes unsaid."""

from __future__ import annotations

import math

import pytest

from tests.charts.figures import is_shown_in_every_figure, validated
from tests.sweeps.comparison.test_comparing import BASED, LOSS, runs
from tests.sweeps.protocols.study import row
from webapp.charts import comparison as charts
from webapp.charts import labelling
from webapp.sweeps.comparison import compared
from webapp.sweeps.comparison.measured import MEASURES

ROWS = [
    *runs("full", 1.5, trainable=1000, total=1000),
    *runs("lora", 1.6, trainable=10, total=1000),
    *runs("big", 1.7, trainable=50, total=1000),
]


def figure(rows=ROWS, measure="trainable", **options):
    return charts.figure(charts.data(compared(rows, LOSS), measure), **options)


def test_each_group_is_a_point_with_its_interval() -> None:
    drawn = figure()
    assert is_shown_in_every_figure(drawn)
    line, beaten, front = drawn["data"]
    assert (front["x"], front["y"]) == ([10, 1000], [pytest.approx(1.6), pytest.approx(1.5)])
    assert (beaten["x"], line["x"]) == ([50], [10, 1000])
    half = 4.302652729911275 * 0.01 / math.sqrt(3)  # t of 2 degrees of freedom, spread 0.01
    assert front["error_y"]["array"] == [pytest.approx(half)] * 2
    assert front["error_y"]["arrayminus"] == [pytest.approx(half)] * 2
    assert front["marker"]["symbol"] == ["circle", "diamond"]
    assert drawn["layout"]["xaxis"]["type"] == "log"


def test_a_share_is_drawn_in_per_cent() -> None:
    assert figure(measure="trainable_share")["data"][2]["x"] == [1.0, 100.0]


def test_full_fine_tuning_and_a_near_base_are_lines_and_a_far_one_is_said() -> None:
    def levels(before: float):
        rows = [
            *ROWS[:3],
            *runs("lora", 1.6, spec=BASED, trainable=10, total=1000, result={"before": {"eval/loss": before}}),
        ]
        drawn = figure(rows)
        return [shape["y0"] for shape in drawn["layout"]["shapes"]], drawn["layout"]["meta"]["caption"]

    near, _ = levels(1.65)
    far, caption = levels(9.0)
    assert near == pytest.approx([1.5, 1.65])
    assert far == [pytest.approx(1.5)]
    assert "base 9 lies beyond" in caption


def test_a_wide_interval_is_cut_and_squashes_nothing() -> None:
    drawn = figure([*ROWS[:3], *runs("lora", 1.6, jitter=(-5.0, 5.0), trainable=10, total=1000)])
    low, high = drawn["layout"]["yaxis"]["range"]
    assert high - low < 1
    assert "cut at the edge" in drawn["layout"]["meta"]["caption"]


def test_what_can_not_be_drawn_is_counted() -> None:
    drawn = figure([*ROWS, *runs("mezo", 2.0), *runs("odd", 2.0, trainable=0, total=1000)])
    assert "2 not drawn: nothing measured" in drawn["layout"]["meta"]["caption"]
    assert "one seed each: no intervals" in figure([ROWS[0], ROWS[3]])["layout"]["meta"]["caption"]


def test_another_budget_is_hollow() -> None:
    drawn = figure([*ROWS[:6], *runs("big", 1.4, trainable=50, total=1000, step=200)])
    assert drawn["data"][2]["marker"]["symbol"] == ["circle", "circle-open"]
    assert "hollow: other budget" in drawn["layout"]["meta"]["caption"]


def test_nothing_to_draw_is_a_sentence() -> None:
    drawn = figure(measure="energy_kwh")
    assert validated(drawn)
    assert drawn["layout"]["annotations"][0]["text"] == "No group has both eval/loss and a measured energy."


@pytest.mark.parametrize("measure", MEASURES)
def test_plotly_takes_every_measure_at_both_sizes(measure) -> None:
    for is_small in (False, True):
        validated(figure(measure=measure, is_small=is_small))


def test_markup_in_a_name_stays_text() -> None:
    outside = [row({"name": "<b>x</b>"}, 1.0, spec={"kind": "external"}, trainable=5, total=10)]
    drawn = figure([*ROWS, *outside])
    assert any("&lt;b&gt;x" in note["text"] for note in drawn["layout"]["annotations"])


def test_labels_of_points_that_lie_together_do_not_cover_each_other() -> None:
    """Their boxes, as they were placed, do not meet."""
    places = [(0.5, 0.5), (0.505, 0.5), (0.5, 0.51)]
    sides = labelling.sides(places, ["lora rank 8", "dora rank 8", "ia3"])
    assert len({(side["xanchor"], side["yanchor"]) for side in sides}) == 3
    edge = labelling.sides([(0.99, 0.5)], ["a long label at the edge"])[0]
    assert edge["xanchor"] == "right"
