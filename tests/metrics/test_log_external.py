"""Points from outside are stored all or not at all, and every refusal names the series, the rule and the value."""

from __future__ import annotations

import json
import math
import threading
import time
from typing import Any

import numpy as np
import pytest
import redis
from django.conf import settings
from django.db import connection

from tests.metrics.runs import make_run
from webapp.metrics import queries
from webapp.metrics.actions import log_external
from webapp.metrics.errors import Invalid
from webapp.metrics.external import MOST_POINTS
from webapp.metrics.models import Series
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


def test_columns_become_points(run: Run) -> None:
    count = log_external(run, {"loss": {"step": [1, 2, 3], "value": [4, "NaN", 3.5], "time": [10, 11.5, 12]}})
    points = queries.raw(run.pk, "loss")
    assert count == 3
    assert points.steps.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(points.values, [4.0, math.nan, 3.5])
    assert points.times.tolist() == [10.0, 11.5, 12.0]


def test_the_infinities_have_names(run: Run) -> None:
    log_external(run, {"loss": {"value": ["Infinity", "-Infinity", float("inf")]}})
    assert queries.raw(run.pk, "loss").values.tolist() == [math.inf, -math.inf, math.inf]


def test_steps_left_out_go_on_from_the_last(run: Run) -> None:
    log_external(run, {"loss": {"value": [1, 2]}})
    log_external(run, {"loss": {"value": [3], "step": [10]}, "lr": {"value": [0.1]}})
    log_external(run, {"loss": {"value": [4, 5]}})
    assert queries.raw(run.pk, "loss").steps.tolist() == [0, 1, 10, 11, 12]
    assert queries.raw(run.pk, "lr").steps.tolist() == [0]


def test_times_left_out_are_now(run: Run) -> None:
    before = time.time()
    log_external(run, {"loss": {"value": [1, 2]}})
    assert all(before <= moment <= time.time() for moment in queries.raw(run.pk, "loss").times)


def test_the_run_moves_on_with_its_points(run: Run) -> None:
    log_external(run, {"loss": {"step": [7, 3], "value": [1, 2]}, "lr": {"step": [5], "value": [1]}})
    log_external(run, {"loss": {"step": [4], "value": [1]}})
    assert Run.objects.get(pk=run.pk).step == 7


def test_no_points_are_no_error(run: Run) -> None:
    assert log_external(run, {"loss": {"step": [], "value": []}}) == 0
    assert queries.names(run.pk) == []


GOOD = {"step": [1], "value": [1.0]}
REFUSED: list[tuple[Any, list[Any], str]] = [
    ({}, ["series"], "one or more metrics"),
    ([1], ["series"], "one or more metrics"),
    ({"": GOOD}, ["series", ""], "must not be empty"),
    ({"  ": GOOD}, ["series", "  "], "must not be empty"),
    ({"x" * 251: GOOD}, ["series", "x" * 250], "at most 250 characters"),
    ({"lo\x00ss": GOOD}, ["series", "lo\\x00ss"], "control characters"),
    ({"lo\ud800ss": GOOD}, ["series", "lo\\ud800ss"], "control characters"),
    ({"loss": [1, 2]}, ["series", "loss"], "not a list"),
    ({"loss": {"step": [1]}}, ["series", "loss", "value"], "Required"),
    ({"loss": {"value": 1.0}}, ["series", "loss", "value"], "not 1.0"),
    ({"loss": {**GOOD, "weight": [1]}}, ["series", "loss", "weight"], "no column"),
    ({"loss": {"step": [1, 2], "value": [1]}}, ["series", "loss", "step"], "equally long, not 2 and 1"),
    ({"loss": {"value": [1], "time": []}}, ["series", "loss", "time"], "equally long, not 0 and 1"),
    ({"loss": {"value": [1, "two"]}}, ["series", "loss", "value", 1], "not 'two'"),
    ({"loss": {"value": ["nan"]}}, ["series", "loss", "value", 0], "not 'nan'"),
    ({"loss": {"value": [None]}}, ["series", "loss", "value", 0], "not None"),
    ({"loss": {"value": [True]}}, ["series", "loss", "value", 0], "not True"),
    ({"loss": {"value": [[1]]}}, ["series", "loss", "value", 0], "not a list"),
    ({"loss": {"value": [10**400]}}, ["series", "loss", "value", 0], "a double can hold"),
    ({"loss": {"step": [1.5], "value": [1]}}, ["series", "loss", "step", 0], "whole number"),
    ({"loss": {"step": [-1], "value": [1]}}, ["series", "loss", "step", 0], "not -1"),
    ({"loss": {"step": [2**63], "value": [1]}}, ["series", "loss", "step", 0], "2^63 - 1"),
    ({"loss": {"step": ["1"], "value": [1]}}, ["series", "loss", "step", 0], "not '1'"),
    ({"loss": {"value": [1], "time": [1767225600000]}}, ["series", "loss", "time", 0], "in seconds"),
    ({"loss": {"value": [1], "time": [float("nan")]}}, ["series", "loss", "time", 0], "not nan"),
    ({"loss": {"value": [0] * (MOST_POINTS + 1)}}, ["series", "loss", "value"], "At most 100,000 points"),
    ({str(name): GOOD for name in range(1001)}, ["series"], "At most 1,000 metrics"),
]


@pytest.mark.parametrize(("bad", "loc", "says"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_named_and_nothing_is_written(run: Run, bad: Any, loc: list[Any], says: str) -> None:
    both = {"good": GOOD, **bad} if isinstance(bad, dict) and bad else bad
    with pytest.raises(Invalid) as caught:
        log_external(run, both)
    assert caught.value.errors[0]["loc"] == loc
    assert says in caught.value.errors[0]["msg"]
    assert not Series.objects.filter(run=run).exists()


def test_every_series_at_fault_is_named(run: Run) -> None:
    with pytest.raises(Invalid) as caught:
        log_external(run, {"a": {"value": ["x"]}, "b": GOOD, "c": {"value": [1], "step": []}})
    assert [error["loc"][1] for error in caught.value.errors] == ["a", "c"]


def test_a_run_that_trains_here_takes_no_points_from_outside() -> None:
    with pytest.raises(Invalid, match="pretrain"):
        log_external(make_run(kind="pretrain"), {"loss": GOOD})


def news_of(run: Run) -> list[tuple[str, dict[str, Any]]]:
    client = redis.Redis.from_url(settings.REDIS_URL, decode_responses=True)
    entries = client.xrange(f"hone:news:{run.pk}")
    return [(fields["type"], json.loads(fields["data"], parse_constant=pytest.fail)) for _, fields in entries]


@pytest.mark.django_db(transaction=True)
def test_open_pages_are_told_of_new_points() -> None:
    run = make_run()
    log_external(run, {"loss": {"step": [1, 2], "value": [4.5, "NaN"], "time": [10, 11]}})
    assert ("points", {"loss": {"step": [1, 2], "value": [4.5, "NaN"], "time": [10.0, 11.0]}}) in news_of(run)


@pytest.mark.django_db(transaction=True)
def test_open_pages_read_again_after_many_points() -> None:
    run = make_run()
    log_external(run, {"loss": {"value": [0.5] * 5000}})
    assert ("reset", {}) in news_of(run)
    assert "points" not in dict(news_of(run))


@pytest.mark.django_db(transaction=True)
def test_two_senders_that_name_no_step_lose_nothing() -> None:
    run, each = make_run(), 60

    def send(value: float) -> None:
        try:
            for _ in range(each):
                log_external(run, {"loss": {"value": [value, value]}})
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(value,)) for value in (1.0, 2.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    points = queries.raw(run.pk, "loss")
    assert points.steps.tolist() == list(range(4 * each))
    assert sorted(points.values) == [1.0] * 2 * each + [2.0] * 2 * each


@pytest.mark.django_db(transaction=True)
def test_the_step_of_a_run_is_kept_each_time_and_told_once_a_second(run: Run) -> None:
    log_external(run, {"loss": {"step": [0], "value": [1.0]}})  # no step further than it was
    began = time.monotonic()
    for step in range(1, 11):
        log_external(run, {"loss": {"step": [step], "value": [1.0]}})
    seconds = time.monotonic() - began
    kinds = [kind for kind, _ in news_of(run)]
    assert kinds.count("points") == 11
    assert 1 <= kinds.count("state") <= 1 + seconds
    assert Run.objects.get(pk=run.pk).step == 10
