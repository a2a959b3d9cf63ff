"""A window has few points, all of them logged ones, and hides no spike, dip or NaN."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.metrics.runs import make_run
from webapp.metrics import queries, ranges, store
from webapp.metrics.decimate import envelope, keep
from webapp.metrics.errors import Invalid, NoSuchSeries
from webapp.metrics.models import CHUNK_POINTS, Chunk, Series
from webapp.metrics.points import Points
from webapp.metrics.ranges import Detail, Range
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db
ANY_FLOAT = st.floats(width=64) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0])


def noise(n: int, seed: int = 0) -> Points:
    random = np.random.default_rng(seed)
    steps = np.cumsum(random.integers(1, 4, n))
    return Points.of(steps, random.normal(size=n), 1e9 + steps * 0.5)


def assert_outlines(x: np.ndarray, y: np.ndarray, chosen: np.ndarray) -> None:
    """Both ends, the extremes and a NaN if there is one."""
    assert (np.diff(chosen) > 0).all()
    assert (chosen[0], chosen[-1]) == (0, len(y) - 1)
    known = y[~np.isnan(y)]
    if len(known):
        assert np.nanmin(y[chosen]) == known.min()
        assert np.nanmax(y[chosen]) == known.max()
    assert np.isnan(y[chosen]).any() == np.isnan(y).any()


@settings(max_examples=300, deadline=None)
@given(y=arrays(np.float64, st.integers(1, 300), elements=ANY_FLOAT), points=st.integers(1, 60), data=st.data())
@example(y=np.array([np.nan] * 40), points=8, data=None)
@example(y=np.array([np.inf, *[np.nan] * 40, -np.inf]), points=8, data=None)
def test_decimation_keeps_the_ends_the_extremes_and_a_nan(
    y: np.ndarray, points: int, data: st.DataObject | None
) -> None:
    gaps = np.ones(len(y)) if data is None else data.draw(arrays(np.float64, len(y), elements=st.floats(-1, 1e6)))
    x = np.cumsum(gaps)
    chosen = keep(x, y, points)
    assert_outlines(x, y, chosen)
    assert len(chosen) <= max(points, 8)


@settings(max_examples=100, deadline=None)
@given(y=arrays(np.float64, st.integers(200, 400), elements=ANY_FLOAT))
def test_every_stretch_of_the_picture_keeps_its_own_extremes(y: np.ndarray) -> None:
    x = np.arange(len(y), dtype=float)
    points = 62
    chosen = keep(x, y, points)
    buckets = (points - 2) // (3 if np.isnan(y).any() else 2)
    bucket_of = np.minimum(np.searchsorted(x[-1] * (np.arange(1, buckets) / buckets), x, "right"), buckets - 1)
    for bucket in range(buckets):
        stretch, shown = y[bucket_of == bucket], y[chosen][bucket_of[chosen] == bucket]
        known = stretch[~np.isnan(stretch)]
        if len(known):
            assert known.min() == np.nanmin(shown)
            assert known.max() == np.nanmax(shown)


@settings(max_examples=50, deadline=None)
@given(y=arrays(np.float64, st.integers(4096, 8192), elements=ANY_FLOAT, fill=st.just(0.5)))
def test_an_envelope_is_an_outline_of_logged_points(y: np.ndarray) -> None:
    steps = np.arange(len(y)) * 3
    small = envelope(Points.of(steps, y, steps.astype(float)))
    assert_outlines(steps, y, small.steps // 3)
    np.testing.assert_array_equal(small.values, y[small.steps // 3])
    assert len(small.steps) <= 64 * 3 + 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), seed=st.integers(0, 999), n=st.integers(1, 60_000), points=st.integers(8, 400))
@example(data=None, seed=1, n=60_000, points=8)
def test_a_window_of_steps_agrees_with_all_points(data: st.DataObject | None, seed: int, n: int, points: int) -> None:
    logged = noise(n, seed)
    ends = st.none() | st.floats(-10, float(logged.steps[-1]) + 10)
    start, stop = (data.draw(ends), data.draw(ends)) if data else (None, None)
    with transaction.atomic():
        run = make_run()
        store.append(run.id, {"loss": logged})
        window = queries.window(run.id, "loss", start=start, stop=stop, points=points)
        transaction.set_rollback(True)
    inside = (logged.steps >= (start if start is not None else -np.inf)) & (
        logged.steps <= (stop if stop is not None else np.inf)
    )
    expected = logged.take(inside)
    assert window.count == len(expected.steps)
    assert window.x.dtype == np.int64
    if not window.count:
        return
    assert_outlines(expected.steps, expected.values, np.searchsorted(expected.steps, window.x))
    np.testing.assert_array_equal(window.y, expected.values[np.searchsorted(expected.steps, window.x)])
    assert len(window.x) <= points
    assert window.decimated == (len(window.x) < window.count)


def test_one_spike_in_a_million_points_is_in_the_window(run: Run) -> None:
    n, at = 1_000_000, 654_321
    values = np.zeros(n)
    values[at], values[at + 90_000], values[at - 90_000] = 9.0, -9.0, np.nan
    store.append(run.id, {"loss": Points.of(np.arange(n), values, np.arange(n) * 0.01)})
    window = queries.window(run.id, "loss", points=300)
    shown = dict(zip(window.x.tolist(), window.y.tolist(), strict=True))
    assert (shown[at], shown[at + 90_000]) == (9.0, -9.0)
    assert np.isnan(shown[at - 90_000])
    assert window.count == n
    assert len(window.x) <= 300


def test_a_far_view_reads_envelopes_and_a_near_one_points(run: Run) -> None:
    store.append(run.id, {"loss": noise(200_000)})
    few = noise(3, seed=5).pack_one()
    Chunk.objects.filter(series__run=run).exclude(envelope=None).update(envelope=few, contour=few)
    assert queries.window(run.id, "loss", points=100).count == 200_000
    assert len(queries.window(run.id, "loss", points=100).x) < 100
    near = queries.window(run.id, "loss", points=100, start=200_000, stop=210_000)
    assert near.count == int(((noise(200_000).steps >= 200_000) & (noise(200_000).steps <= 210_000)).sum())
    assert len(near.x) > 90


@pytest.mark.parametrize("outlines", [True, False])
def test_a_very_far_view_reads_five_points_of_a_chunk_and_loses_none_of_note(run: Run, outlines: bool) -> None:
    points = noise(60 * CHUNK_POINTS)
    points.values[[123_456, 234_567, 345_678]] = 1e6, -np.inf, np.nan
    store.append(run.id, {"loss": points})
    if not outlines:
        Chunk.objects.filter(series__run=run).update(contour=None, outline=None)  # as before there were any
    window = queries.window(run.id, "loss", points=100)
    assert window.count == len(points.steps) and len(window.x) <= 100
    for place in (0, 123_456, 234_567, 345_678, -1):
        assert points.steps[place] in window.x
    known = dict(zip(points.steps.tolist(), points.values.tolist(), strict=True))
    np.testing.assert_array_equal(window.y, [known[step] for step in window.x.tolist()])
    if outlines:
        few = noise(3, seed=5).pack_one()
        Chunk.objects.filter(series__run=run).update(envelope=few, contour=few)
        again = queries.window(run.id, "loss", points=100)
        np.testing.assert_array_equal(again.x, window.x)


@pytest.mark.parametrize("contours", [True, False])
def test_a_rather_far_view_reads_about_twenty_points_of_a_chunk_and_loses_none_of_note(
    run: Run, contours: bool
) -> None:
    points = noise(20 * CHUNK_POINTS + 100)
    points.values[[12_345, 23_456, 34_567]] = 1e6, -np.inf, np.nan
    store.append(run.id, {"loss": points})
    if not contours:
        Chunk.objects.filter(series__run=run).update(contour=None)  # as before there were any
    some = {"start": float(points.steps[5000]), "stop": float(points.steps[-50])}
    window, part = (queries.window(run.id, "loss", points=100, **bounds) for bounds in ({}, some))
    for each, first, last in ((window, 0, len(points.steps)), (part, 5000, len(points.steps) - 49)):
        assert each.count == last - first and len(each.x) <= 100
        for place in (first, 12_345, 23_456, 34_567, last - 1):
            assert points.steps[place] in each.x
        np.testing.assert_array_equal(each.y, points.values[np.searchsorted(points.steps, each.x)])
    few = noise(3, seed=5).pack_one()
    chunks = Chunk.objects.filter(series__run=run).exclude(envelope=None)
    chunks.update(**{"envelope": few} if contours else {"outline": few})
    np.testing.assert_array_equal(queries.window(run.id, "loss", points=100).x, window.x)


def test_a_short_series_comes_whole(run: Run) -> None:
    store.append(run.id, {"loss": noise(200)})
    window = queries.window(run.id, "loss", points=200)
    np.testing.assert_array_equal(window.x, noise(200).steps)
    assert not window.decimated


def test_time_is_seconds_since_the_epoch(run: Run) -> None:
    store.append(run.id, {"loss": noise(50)})
    times = noise(50).times
    window = queries.window(run.id, "loss", x="time", start=times[10], stop=times[20])
    np.testing.assert_array_equal(window.x, times[10:21])
    np.testing.assert_array_equal(window.steps, noise(50).steps[10:21])


def test_times_that_go_back_lose_no_point(run: Run) -> None:
    steps = np.arange(30_000)
    times = 1e9 + (steps * 7919) % 30_000
    store.append(run.id, {"loss": Points.of(steps, steps, times)})
    window = queries.window(run.id, "loss", x="time", start=1e9 + 100, stop=1e9 + 199, points=500)
    assert sorted(window.x - 1e9) == list(range(100, 200))


def test_a_chunk_that_comes_whole_keeps_its_place_among_others(run: Run) -> None:
    """One point of the second of three has another time, which is not asked for."""
    points = noise(3 * CHUNK_POINTS)
    points.times[CHUNK_POINTS + 7] = 5.0
    store.append(run.id, {"loss": points})
    window = queries.window(run.id, "loss", x="time", start=6.0, points=40)
    assert window.count == len(points.steps) - 1 and len(window.x) <= 40
    assert (np.diff(window.steps) > 0).all()
    np.testing.assert_array_equal(window.x, points.times[np.searchsorted(points.steps, window.steps)])


def test_relative_time_counts_from_the_start_of_the_run(run: Run) -> None:
    Run.objects.filter(id=run.id).update(started_at=datetime.fromtimestamp(1e9 - 10, UTC))
    store.append(run.id, {"loss": noise(50)})
    window = queries.window(run.id, "loss", x="relative", start=20.0)
    expected = noise(50).times - 1e9 + 10
    np.testing.assert_array_equal(window.x, expected[expected >= 20.0])


def test_relative_time_of_a_run_never_started_counts_from_its_first_point(run: Run) -> None:
    store.append(run.id, {"loss": Points.of([1, 2], [1, 2], [150.0, 160.0]), "lr": Points.of([0], [1], [100.0])})
    assert queries.window(run.id, "loss", x="relative").x.tolist() == [50.0, 60.0]


def test_tokens_are_those_seen_by_the_step(run: Run) -> None:
    store.append(run.id, {"train/tokens": Points.of([10, 20, 40], [1000, 2000, 3000], [1, 2, 3])})
    store.append(run.id, {"loss": Points.of([0, 5, 10, 15, 20, 30, 40, 50], np.arange(8), np.arange(8))})
    assert queries.window(run.id, "loss", x="tokens").x.tolist() == [0, 500, 1000, 1500, 2000, 2500, 3000, 3000]
    assert queries.window(run.id, "loss", x="tokens", start=1000, stop=2500).steps.tolist() == [10, 15, 20, 30]
    assert queries.window(run.id, "loss", x="tokens", start=3000).steps.tolist() == [40, 50]
    assert queries.window(run.id, "loss", x="tokens", start=3001).count == 0
    assert queries.window(run.id, "loss", x="tokens", stop=-1).count == 0
    assert queries.window(run.id, "loss", x="tokens", stop=0).steps.tolist() == [0]


def test_without_token_counts_tokens_are_refused(run: Run) -> None:
    store.append(run.id, {"loss": noise(5)})
    with pytest.raises(Invalid, match="train/tokens"):
        queries.window(run.id, "loss", x="tokens")


def test_an_unknown_series_axis_or_bound_is_named(run: Run) -> None:
    with pytest.raises(NoSuchSeries, match="'los'"):
        queries.window(run.id, "los")
    store.append(run.id, {"loss": noise(5)})
    with pytest.raises(Invalid, match="epoch"):
        queries.window(run.id, "loss", x="epoch")  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="start"):
        queries.window(run.id, "loss", start=float("nan"))


def test_a_window_of_nothing_is_empty(run: Run) -> None:
    store.append(run.id, {"loss": noise(5)})
    for bounds in ({"start": 1e300}, {"stop": -1e300}, {"start": 3, "stop": 2}, {"start": float("inf")}):
        window = queries.window(run.id, "loss", **bounds)
        assert (window.count, len(window.x), window.decimated) == (0, 0, False)


def test_flops_are_steps_times_what_a_step_takes(run: Run) -> None:
    store.append(run.id, {"loss": noise(50)})
    with pytest.raises(Invalid, match="FLOPs of a step"):
        queries.window(run.id, "loss", x="flops")
    Run.objects.filter(id=run.id).update(facts={"flops": {"per_step": 3e9}})
    steps = noise(50).steps
    np.testing.assert_array_equal(queries.window(run.id, "loss", x="flops").x, steps * 3e9)
    some = queries.window(run.id, "loss", x="flops", start=3e9 * steps[10], stop=3e9 * steps[20])
    np.testing.assert_array_equal(some.steps, steps[10:21])


def test_logged_flops_count_before_those_of_the_plan(run: Run) -> None:
    Run.objects.filter(id=run.id).update(facts={"flops": {"per_step": 3e9}})
    store.append(run.id, {"loss": Points.of([0, 5, 10], [3, 2, 1], [0, 1, 2])})
    store.append(run.id, {"train/flops": Points.of([10], [7e12], [2])})
    assert queries.window(run.id, "loss", x="flops").x.tolist() == [0, 3.5e12, 7e12]


def test_any_metric_can_be_x_and_a_path_is_drawn_in_the_order_of_steps(run: Run) -> None:
    """Exact where both were logged, on a straight line in between, nothing before and after."""
    store.append(run.id, {"lr": Points.of([10, 20, 40], [0.1, 0.3, 0.2], [1, 2, 3])})
    store.append(run.id, {"loss": Points.of([5, 10, 15, 20, 30, 40, 50], np.arange(7), np.arange(7))})
    window = queries.window(run.id, "loss", x="metric:lr")
    np.testing.assert_allclose(window.x, [0.1, 0.2, 0.3, 0.25, 0.2])
    assert (window.count, window.steps.tolist()) == (5, [10, 15, 20, 30, 40])
    assert queries.window(run.id, "loss", x="metric:lr", start=0.24).steps.tolist() == [20, 30]
    with pytest.raises(Invalid, match="'no such'"):
        queries.window(run.id, "loss", x="metric:no such")


def test_a_spike_and_the_ends_of_x_survive_on_a_path(run: Run) -> None:
    n, at = 300_000, 123_456
    values, turning = np.zeros(n), np.sin(np.arange(n) / 20_000)
    values[at], turning[at + 10_000] = 9.0, 5.0
    steps = np.arange(n)
    store.append(run.id, {"loss": Points.of(steps, values, steps), "x": Points.of(steps, turning, steps)})
    far = queries.window(run.id, "loss", x="metric:x", points=300)
    assert (far.count, len(far.x) <= 300, far.y.max()) == (n, True, 9.0)
    near = queries.window(run.id, "loss", x="metric:x", start=turning[at] - 1e-4, stop=turning[at] + 1e-4, points=300)
    assert near.y.max() == 9.0
    assert near.count == int((np.abs(turning - turning[at]) <= 1e-4).sum())


@pytest.mark.parametrize("points", [8, 20, 100])
@pytest.mark.parametrize("x", ["step", "time", "relative", "tokens", "metric:lr"])
def test_windows_of_many_runs_are_those_of_each(run: Run, x: str, points: int) -> None:
    runs = [run, make_run(), make_run()]
    for seed, each in enumerate(runs):
        some = noise(9_000 + 3_000 * seed, seed)
        counted = some._replace(values=some.steps * 8.0)
        store.append(each.id, {"loss": some, "train/tokens": counted, "lr": some._replace(values=some.values / 9)})
    without = make_run()
    ids = [each.id for each in (*runs, without)]
    for bounds in ({}, {"start": 0.001, "stop": 9_999.0}):
        found = queries.windows(ids, "loss", x=x, points=points, **bounds)
        assert list(found) == [each.id for each in runs]
        for each in runs:
            alone = queries.window(each.id, "loss", x=x, points=points, **bounds)
            assert (found[each.id].count, found[each.id].decimated) == (alone.count, alone.decimated)
            np.testing.assert_array_equal(found[each.id].x, alone.x)
            np.testing.assert_array_equal(found[each.id].y, alone.y)


def test_one_spike_in_ten_million_points_is_seen_at_every_zoom(run: Run) -> None:
    """From the whole series down to a thousand points, halving the window around it."""
    n, at, chunk = 10_000_000, 7_654_321, 1_000_000
    for first in range(0, n, chunk):
        steps = np.arange(first, first + chunk)
        values = np.sin(steps / 1e5)
        values[at - first if first <= at < first + chunk else 0] += 9.0 if first <= at < first + chunk else 0.0
        store.append(run.id, {"loss": Points.of(steps, values, steps * 0.01)})
    width = float(n)
    while width > 1000:
        window = queries.window(run.id, "loss", start=at - width * 0.4, stop=at + width * 0.6, points=1500)
        assert at in window.x, width
        assert len(window.x) <= 1500
        width /= 2


@pytest.mark.django_db(transaction=True)
def test_a_reader_never_sees_half_of_a_change() -> None:
    """Points are cut into two full chunks and a short one, which comes whole, and evenly into three that do not."""
    run_id, points, stop = make_run().id, noise(20_000), threading.Event()
    late = points.take(slice(CHUNK_POINTS + 5, CHUNK_POINTS + 6))
    changes: Counter[str] = Counter()

    def cut_anew() -> None:
        with transaction.atomic():
            store.rewind(run_id, -1)
            store.append(run_id, {"loss": points})

    def write() -> None:
        try:
            while not stop.is_set():
                cut_anew()
                with transaction.atomic():
                    store.append(run_id, {"loss": late})
                changes["done"] += 1
        except Exception as error:  # a thread must report, not die in silence
            changes[repr(error)] += 1
        finally:
            connection.close()

    cut_anew()
    series_id = Series.objects.get(run=run_id).pk
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(400):
            count, found = ranges.read(series_id, Range(), Detail.CONTOUR)
            assert count == len(points.steps)
            assert (found.steps[0], found.steps[-1]) == (points.steps[0], points.steps[-1])
            np.testing.assert_array_equal(found.values, points.values[np.searchsorted(points.steps, found.steps)])
    finally:
        stop.set()
        writer.join()
    assert list(changes) == ["done"] and changes["done"] > 10
