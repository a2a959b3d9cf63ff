"""The line chart: every run's curve, smoothed or not, with what happened to the run."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from tests.charts.figures import is_shown_in_every_figure, validated
from tests.metrics.runs import make_run
from webapp.charts import line
from webapp.charts.smoothing import smooth
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs.models import Attempt, PhaseMark, Run

pytestmark = pytest.mark.django_db
START = 1_767_225_600.0  # 2026-01-01


def curve(n: int = 200, *, every: int = 1) -> Points:
    steps = np.arange(n) * every
    return Points.of(steps, 4 * np.exp(-steps / 50) + 1, START + steps)


@pytest.fixture
def resumed(run: Run) -> Run:
    """Attempt 1 trains from step 0; attempt 2 goes on from step 100."""
    Run.objects.filter(pk=run.pk).update(started_at=datetime.fromtimestamp(START, UTC))
    for number, step in ((1, 0), (2, 100)):
        at = datetime.fromtimestamp(START + step, UTC)
        ended = datetime.fromtimestamp(START + step + 99, UTC)
        attempt = Attempt.objects.create(
            run=run, number=number, worker_name="w", started_at=at, ended_at=ended, resumed_from_step=step or None
        )
        PhaseMark.objects.create(attempt=attempt, name="train", step=step, at=at)
    store.append(run.id, {"loss": curve(), "train/tokens": Points.of([0, 200], [0, 20_000], [START, START + 200])})
    return run


def test_one_run_is_one_line(run: Run) -> None:
    store.append(run.id, {"loss": curve()})
    figure = line.figure(line.data([run], "loss"))
    assert is_shown_in_every_figure(figure)
    (trace,) = figure["data"]
    assert trace["x"] == list(range(200))
    assert trace["y"] == curve().values.tolist()
    assert trace["meta"] == {"run": run.id, "metric": "loss", "part": "logged"}


def test_smoothing_puts_a_line_on_the_faint_logged_one(run: Run) -> None:
    store.append(run.id, {"loss": curve()})
    logged, smoothed = line.figure(line.data([run], "loss", smoothing=0.6))["data"]
    assert logged["line"]["color"].endswith("/0.3")
    assert (logged["meta"]["part"], smoothed["meta"]["part"]) == ("logged", "smoothed")
    np.testing.assert_allclose(smoothed["y"], smooth(np.arange(200.0), curve().values, 0.6))


def test_few_points_are_drawn_with_markers_and_not_smoothed(run: Run) -> None:
    store.append(run.id, {"eval/loss": curve(12, every=50)})
    (trace,) = line.figure(line.data([run], "eval/loss", smoothing=0.6))["data"]
    assert trace["mode"] == "lines+markers"


def test_what_is_not_finite_is_a_gap(run: Run) -> None:
    store.append(run.id, {"loss": Points.of([0, 1, 2, 3], [1, np.nan, np.inf, 2], [0, 1, 2, 3])})
    figure = line.figure(line.data([run], "loss"))
    validated(figure)
    assert figure["data"][0]["y"] == [1, None, None, 2]


@pytest.mark.parametrize(
    ("x", "at"), [("step", 100), ("relative", 100.0), ("time", (START + 100) * 1000), ("tokens", 10_000)]
)
def test_resumes_and_phases_stand_at_their_place_on_every_axis(resumed: Run, x, at: float) -> None:
    figure = line.figure(line.data([resumed], "loss", x=x))
    assert is_shown_in_every_figure(figure)
    assert [shape["x0"] for shape in figure["layout"]["shapes"]].count(at) == 2
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["attempt 2"]
    assert sum(shape["line"]["color"] == "--wait" for shape in figure["layout"]["shapes"]) == 1
    assert figure["data"][0]["x"][100] == at


def test_time_is_a_date(resumed: Run) -> None:
    figure = validated(line.figure(line.data([resumed], "loss", x="time", log_x=True)))
    assert figure.layout.xaxis.type == "date"
    assert figure.data[0].x[0] == START * 1000


def test_several_runs_are_told_apart_by_labels_at_their_ends(run: Run) -> None:
    other = make_run()
    store.append(run.id, {"loss": curve()})
    store.append(other.id, {"loss": curve(50)})
    figure = line.figure(line.data([run, other], "loss", log_y=True))
    assert is_shown_in_every_figure(figure)
    first, second = figure["layout"]["annotations"]
    assert (first["x"], second["x"]) == (199, 49)
    assert first["y"] == pytest.approx(np.log10(curve().values[-1]))
    assert first["font"]["color"] != second["font"]["color"]
    assert not figure["layout"]["showlegend"]


def test_many_runs_have_a_legend(run: Run) -> None:
    runs = [run, *(make_run() for _ in range(8))]
    for each in runs:
        store.append(each.id, {"loss": curve(20)})
    figure = line.figure(line.data(runs, "loss"))
    validated(figure)
    assert figure["layout"]["showlegend"]
    assert not figure["layout"]["annotations"]
    assert len(figure["data"]) == 9


def test_runs_without_the_metric_or_the_axis_are_left_out(resumed: Run) -> None:
    without = make_run()
    store.append(without.id, {"loss": curve()})
    assert [curve.run_id for curve in line.data([resumed, without], "loss", x="tokens").curves] == [resumed.pk]
    assert line.data([resumed, without], "accuracy").curves == []
    assert validated(line.figure(line.data([resumed], "accuracy"))).data == ()


def test_values_that_a_log_axis_cannot_show_have_no_label_there(run: Run) -> None:
    other = make_run()
    store.append(run.id, {"loss": Points.of([0, 1, 2], [1, 10, -1], [0, 1, 2])})
    store.append(other.id, {"loss": Points.of([0, 1], [-1, -2], [0, 1])})
    (label,) = line.figure(line.data([run, other], "loss", log_y=True))["layout"]["annotations"]
    assert (label["x"], label["y"]) == (1, 1.0)


def test_a_name_is_text_and_never_markup(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(name="<a href='https://example.org'>full</a> & lora")
    other = make_run()
    for each in (run, other):
        store.append(each.id, {"loss": curve()})
    figure = line.figure(line.data(list(Run.objects.order_by("id")), "loss"))
    shown = "&lt;a href='https://example.org'&gt;full&lt;/a&gt; &amp; lora"
    assert figure["data"][0]["name"] == figure["layout"]["annotations"][0]["text"] == shown
