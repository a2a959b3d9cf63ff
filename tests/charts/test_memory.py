from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.charts.figures import is_shown_in_every_figure, validated
from webapp.charts import memory
from webapp.runs.models import Attempt, PhaseMark, Run

pytestmark = pytest.mark.django_db
GIB = 2**30
PLAN = {"weights": GIB, "gradients": GIB // 4, "optimizer": GIB // 2, "activations": 2 * GIB, "total": 3.75 * GIB}


def test_planned_parts_are_stacked_beside_the_measured_peak(run: Run) -> None:
    run.facts = {"plan": {"memory": PLAN}}
    run.result = {"memory": {"peak_bytes": 4 * GIB, "phases": {"load": GIB, "train": 4 * GIB}}}
    figure = memory.figure(memory.data(run))
    assert is_shown_in_every_figure(figure)
    planned = [trace for trace in figure["data"] if trace["y"] == ["planned"]]
    assert [(trace["name"], trace["x"]) for trace in planned] == [
        ("weights", [1.0]), ("gradients", [0.25]), ("optimizer", [0.5]), ("activations", [2.0])
    ]  # fmt: skip
    assert [trace["x"] for trace in figure["data"] if trace["y"] == ["measured"]] == [[4.0]]
    assert figure["layout"]["xaxis"]["title"]["text"] == "GiB"
    assert figure["layout"]["barmode"] == "stack"


def test_while_it_runs_the_phases_left_are_what_is_measured(run: Run) -> None:
    attempt = Attempt.objects.create(run=run, number=1, worker_name="w")
    for name, peak in (("load", 5 * 2**20), ("train", 9 * 2**20), ("evaluate", None)):
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        PhaseMark.objects.create(attempt=attempt, name=name, at=moment, peak_memory_bytes=peak)
    data = memory.data(run)
    assert data.phases == {"load": 5 * 2**20, "train": 9 * 2**20}
    assert data.peak == 9 * 2**20
    assert memory.figure(data)["layout"]["xaxis"]["title"]["text"] == "MiB"


def test_the_memory_of_the_device_is_drawn_when_it_is_near(run: Run) -> None:
    run.facts = {"plan": {"memory": PLAN}}
    run.result = {"memory": {"peak_bytes": 4 * GIB, "device_bytes": 5 * GIB, "device": "H200"}}
    assert [shape["x0"] for shape in memory.figure(memory.data(run))["layout"]["shapes"]] == [5.0]
    run.result["memory"]["device_bytes"] = 80 * GIB
    assert "shapes" not in memory.figure(memory.data(run))["layout"]


@pytest.mark.parametrize("facts", [{}, {"plan": None}, {"plan": {"memory": dict.fromkeys(PLAN)}}])
def test_nothing_known_is_nothing_drawn(run: Run, facts: dict) -> None:
    run.facts = facts
    assert validated(memory.figure(memory.data(run))).data == ()
