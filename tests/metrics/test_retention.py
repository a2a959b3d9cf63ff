"""Old runs made small: what a chart shows of them stays, other runs are left, a dry run changes nothing."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics import pictures
from tests.metrics.runs import make_run
from webapp.metrics import queries, retention, store
from webapp.metrics.media import items
from webapp.metrics.media.actions import log_media
from webapp.metrics.models import MediaItem
from webapp.metrics.points import Points
from webapp.runs.models import Run
from webapp.runs.states import Status

MOST = 100


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> None:
    settings.STORAGE_URL = f"file://{tmp_path / 'blobs'}"
    settings.STORAGES = {**settings.STORAGES}


def append(run: Run, name: str, values: Any) -> Points:
    points = Points.of(np.arange(len(values)), values, 1e9 + np.arange(len(values)))
    with transaction.atomic():
        store.append(run.pk, {name: points})
    return points


def ended(run: Run, days: float, status: Status = Status.SUCCEEDED) -> Run:
    Run.objects.filter(pk=run.pk).update(status=status, ended_at=timezone.now() - timedelta(days=days))
    return run


def thin(*options: str) -> str:
    out = StringIO()
    call_command("thin_runs", *options, stdout=out)
    return out.getvalue()


@given(
    values=st.lists(st.sampled_from([0.0, 1.0, -3.5, 1e300, float("nan"), float("inf"), -float("inf")]), min_size=1,
                    max_size=600),
    size=st.integers(1, 200),
)  # fmt: skip
def test_the_ends_and_the_extremes_stay_whatever_the_values(values: list[float], size: int) -> None:
    y = np.array(values)
    steps = np.arange(len(y))
    points = Points.of(steps, y, steps + 0.5)
    blocks = [points.take(slice(start, start + size)) for start in range(0, len(y), size)]
    kept = retention.thinned(iter(blocks), len(y), MOST)
    assert len(kept.steps) <= MOST and kept.is_sorted()
    assert np.array_equal(kept.values, y[kept.steps], equal_nan=True) and np.array_equal(kept.times, kept.steps + 0.5)
    assert {0, len(y) - 1} <= {*kept.steps.tolist()}
    finite, left = y[np.isfinite(y)], kept.values[np.isfinite(kept.values)]
    if len(finite):
        assert (left.min(), left.max()) == (finite.min(), finite.max())
    assert np.isnan(y).any() == np.isnan(kept.values).any()


@pytest.mark.django_db
def test_a_long_series_keeps_its_chart_and_its_summary_but_count_and_mean() -> None:
    run = make_run()
    values = np.random.default_rng(0).normal(size=30_000)
    values[12_345] = 50.0
    before = append(run, "loss", values)
    short = append(run, "short", values[:MOST])
    other = append(make_run(), "loss", values[:500])
    chart = queries.summaries([run.pk])[run.pk]["loss"]
    assert thin("--older-than", "30d", "--points", "200") == (
        "Thinned 0 series from 0 to 0 points and drop 0 media of 0 old runs.\n"
    )
    ended(run, 40)
    told = thin("--older-than", "30d", "--points", "200")
    kept = queries.raw(run.pk, "loss")
    assert told == f"Thinned 1 series from 30,000 to {len(kept.steps)} points and drop 0 media of 1 old runs.\n"
    assert 100 < len(kept.steps) <= 200 and 12_345 in kept.steps
    assert np.array_equal(kept.values, before.values[kept.steps])
    after = queries.summaries([run.pk])[run.pk]["loss"]
    assert (after.minimum, after.maximum, after.first, after.last, after.last_step) == (
        chart.minimum, chart.maximum, chart.first, chart.last, chart.last_step
    )  # fmt: skip
    assert (after.count, after.total) == (len(kept.steps), pytest.approx(kept.values.sum()))
    assert np.array_equal(queries.raw(run.pk, "short").values, short.values)
    assert Run.objects.exclude(pk=run.pk).count() == 1 and len(other.steps) == 500
    assert thin("--older-than", "30d", "--points", "200").startswith("Thinned 0 series")
    append(run, "loss", [1.0, 2.0])  # late points find their place
    assert queries.raw(run.pk, "loss").values[:2].tolist() == [1.0, 2.0]


@pytest.mark.django_db
def test_a_dry_run_changes_nothing_and_unfinished_and_other_runs_are_left() -> None:
    old, young, running = make_run(), make_run(), make_run()
    for run in (old, young, running):
        append(run, "loss", np.arange(1000.0))
        log_media(run, [items.image("a", pictures.png(2, 2), step=1)])
    ended(old, 40)
    ended(young, 10)
    Run.objects.filter(pk=running.pk).update(ended_at=None, created_at=timezone.now() - timedelta(days=99))
    told = thin("--older-than", "30d", "--points", "100", "--media", "--dry-run")
    assert told == "Would thin 1 series from 1,000 to 100 points and drop 1 media of 1 old runs.\n"
    assert [len(queries.raw(run.pk, "loss").steps) for run in (old, young, running)] == [1000] * 3
    thin("--older-than", "30d", "--media", "--query", "status = 'failed'")
    assert MediaItem.objects.count() == 3
    thin("--older-than", "30d", "--points", "100", "--media", "--query", "status = 'succeeded'")
    assert [len(queries.raw(run.pk, "loss").steps) <= 100 for run in (old, young, running)] == [True, False, False]
    assert sorted(MediaItem.objects.values_list("run", flat=True)) == sorted([young.pk, running.pk])


@pytest.mark.django_db
@pytest.mark.parametrize(
    "options",
    [(), ("--points", "99"), ("--points", "100", "--query", "status ="), ("--media", "--project", "none")],
)
def test_what_says_too_little_is_refused(options: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        thin("--older-than", "30d", *options)
