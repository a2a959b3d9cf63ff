"""Any interleaving of appends and rewinds leaves what a dictionary of step -> point would hold."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.metrics.model import ListSeries, assert_same_points, assert_sums_up
from tests.metrics.runs import make_run
from webapp.metrics import queries, store
from webapp.metrics.decimate import envelope
from webapp.metrics.models import CHUNK_POINTS, Chunk, Series
from webapp.metrics.points import Points
from webapp.runs.models import Run

VALUES = st.one_of(st.floats(-1e100, 1e100), st.sampled_from([float("nan"), float("inf"), float("-inf"), -0.0]))
pytestmark = pytest.mark.django_db


def line(first: int, count: int, *, stride: int = 1, scale: float = 1.0) -> Points:
    """value = scale * sin(step), one second a step."""
    steps = np.arange(first, first + count * stride, stride)
    return Points.of(steps, scale * np.sin(steps), 1e9 + steps)


@st.composite
def batches(draw: st.DrawFn) -> Points:
    """A few points at any steps, or a long run of them that makes full chunks."""
    if draw(st.integers(0, 3)) == 0:
        first = draw(st.integers(0, 30_000))
        return line(first, draw(st.integers(1, 10_000)), stride=draw(st.integers(1, 3)), scale=draw(st.floats(-9, 9)))
    steps = draw(st.lists(st.integers(-20, 40_000), min_size=1, max_size=12))
    values = draw(st.lists(VALUES, min_size=len(steps), max_size=len(steps)))
    return Points.of(steps, values, 1e9 + np.array(steps) % 7)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from(["a", "b"]), batches()),
        st.tuples(st.just("live"), st.sampled_from(["a", "b"]), st.integers(1, 80)),
        st.tuples(st.just("rewind"), st.just("*"), st.integers(-30, 41_000)),
    ),
    max_size=14,
)


def apply(run: Run, model: dict[str, ListSeries], operation: str, name: str, argument: Points | int) -> None:
    if operation == "rewind":
        store.rewind(run.id, int(argument))
        for series in model.values():
            series.rewind(int(argument))
    elif operation == "append":
        store.append(run.id, {name: argument})
        model[name].append(argument)
    else:
        for _ in range(int(argument)):
            point = line(max(model[name].points, default=-1) + 1, 1)
            store.append(run.id, {name: point})
            model[name].append(point)


def assert_well_kept(series: Series) -> None:
    """Chunks are sorted, disjoint and at most full; the tail is noted truly; they are in small where they should."""
    chunks = list(series.chunks.order_by("first_step"))
    for chunk in chunks:
        points = Points.unpack(chunk.steps, chunk.values, chunk.times)
        assert points.is_sorted()
        assert 0 < chunk.count == len(points.steps) <= CHUNK_POINTS
        assert (chunk.first_step, chunk.last_step) == (points.steps[0], points.steps[-1])
        in_small = (chunk.envelope, chunk.contour, chunk.outline)
        if chunk.count < CHUNK_POINTS // 2:
            assert in_small == (None, None, None)
        else:
            assert in_small == tuple(envelope(points, runs).pack_one() for runs in (64, 8, 1))
    assert all(one.last_step < other.first_step for one, other in pairwise(chunks))
    sizes = [chunk.count for chunk in chunks]
    assert series.tail == sizes[len(sizes) - len(series.tail) :]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_any_interleaving_of_appends_and_rewinds_agrees_with_a_dictionary(operations: list) -> None:
    with transaction.atomic():
        run, model = make_run(), {"a": ListSeries(), "b": ListSeries()}
        for operation in operations:
            apply(run, model, *operation)
        present = {name: series for name, series in model.items() if series.points}
        summaries = queries.summaries([run.id])[run.id]
        assert list(summaries) == queries.names(run.id) == sorted(present)
        for name, series in present.items():
            assert_same_points(queries.raw(run.id, name), series.columns())
            assert_sums_up(summaries[name], series)
        for row in Series.objects.filter(run=run):
            assert_well_kept(row)
        transaction.set_rollback(True)


@given(sizes=st.lists(st.integers(1, 9000), max_size=400))
@settings(max_examples=300, deadline=None)
def test_the_tail_stays_short_and_no_point_is_written_often(sizes: list[int]) -> None:
    tail: list[tuple[int, int]] = []  # (points, how often the most rewritten of them was written)
    for size in sizes:
        taken = store.taken_of([count for count, _ in tail], size)
        merged = tail[len(tail) - taken :]
        total = size + sum(count for count, _ in merged)
        writes = 1 + max((written for _, written in merged), default=0)
        left = total % CHUNK_POINTS if total >= CHUNK_POINTS else total
        tail = tail[: len(tail) - taken] + ([(left, 1 if total >= CHUNK_POINTS else writes)] if left else [])
        assert len(tail) <= 7 * 5
        assert writes <= 12


def test_points_logged_one_by_one_become_full_chunks(run: Run) -> None:
    store.append(run.id, {"loss": line(0, 8000)})
    for step in range(8000, CHUNK_POINTS + 5):
        store.append(run.id, {"loss": line(step, 1)})
    series = Series.objects.get(run=run)
    assert_well_kept(series)
    assert list(series.chunks.order_by("first_step").values_list("count", flat=True)) == [CHUNK_POINTS, 1, 1, 1, 1, 1]


def test_eight_chunks_of_a_size_become_one(run: Run) -> None:
    counts = []
    for step in range(64):
        store.append(run.id, {"loss": line(step, 1)})
        counts.append(Chunk.objects.filter(series__run=run).count())
    assert counts[6:8] == [7, 1]
    assert counts[-2:] == [14, 1]


def test_a_full_chunk_is_written_once_and_not_again(run: Run) -> None:
    store.append(run.id, {"loss": line(0, CHUNK_POINTS)})
    full = Chunk.objects.get(series__run=run).id
    for step in range(20):
        store.append(run.id, {"loss": line(CHUNK_POINTS + step, 1)})
    assert Chunk.objects.get(series__run=run, count=CHUNK_POINTS).id == full


def test_the_last_write_of_a_step_counts(run: Run) -> None:
    store.append(run.id, {"loss": Points.of([1, 2, 2, 1], [10.0, 20.0, 21.0, 11.0], [1.0, 2.0, 3.0, 4.0])})
    store.append(run.id, {"loss": Points.of([2], [22.0], [5.0])})
    assert_same_points(queries.raw(run.id, "loss"), Points.of([1, 2], [11.0, 22.0], [4.0, 5.0]))
    assert queries.summaries([run.id])[run.id]["loss"].total == 33.0


def test_points_logged_backwards_do_not_become_a_chunk_each(run: Run) -> None:
    for step in range(200, 0, -1):
        store.append(run.id, {"loss": line(step, 1)})
    assert_same_points(queries.raw(run.id, "loss"), line(1, 200))
    assert Chunk.objects.filter(series__run=run).count() == 1


def test_steps_reach_to_the_ends_of_int64(run: Run) -> None:
    ends = Points.of([-(2**63), 0, 2**63 - 1], [1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
    store.append(run.id, {"loss": ends})
    store.append(run.id, {"loss": Points.of([2**63 - 1], [4.0], [3.0])})
    store.rewind(run.id, 2**63 - 1)
    assert queries.raw(run.id, "loss").values.tolist() == [1.0, 2.0, 4.0]
    store.rewind(run.id, -1)
    assert queries.raw(run.id, "loss").values.tolist() == [1.0]


def test_rewinding_touches_no_other_run(run: Run) -> None:
    other = make_run()
    for each in (run, other):
        store.append(each.id, {"loss": line(0, 100), "lr": line(0, 10)})
    store.rewind(run.id, 49)
    assert queries.summaries([run.id, other.id]).keys() == {run.id, other.id}
    assert queries.summaries([run.id])[run.id]["loss"].count == 50
    assert queries.summaries([run.id])[run.id]["lr"].count == 10
    assert queries.summaries([other.id])[other.id]["loss"].count == 100


def test_a_run_rewound_to_before_its_first_point_has_no_series_to_show(run: Run) -> None:
    store.append(run.id, {"loss": line(1, 100)})
    store.rewind(run.id, 0)
    assert queries.names(run.id) == []
    assert queries.summaries([run.id]) == {run.id: {}}
    store.append(run.id, {"loss": line(1, 3)})
    assert queries.summaries([run.id])[run.id]["loss"].count == 3


def test_a_resumed_run_ends_with_the_series_of_an_undisturbed_one(run: Run) -> None:
    other = make_run()
    for first in range(0, 1000, 50):
        store.append(run.id, {"loss": line(first, 50)})
    for first in [*range(0, 800, 50), -1, *range(600, 1000, 50)]:
        if first < 0:
            store.rewind(other.id, 599)
        else:
            store.append(other.id, {"loss": line(first, 50)})
    assert_same_points(queries.raw(other.id, "loss"), queries.raw(run.id, "loss"))
    assert queries.summaries([other.id])[other.id]["loss"] == pytest.approx(queries.summaries([run.id])[run.id]["loss"])


def test_nothing_is_left_of_a_transaction_that_fails(run: Run) -> None:
    store.append(run.id, {"loss": line(0, 10)})
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        store.append(run.id, {"loss": line(10, 10), "lr": line(0, 10)})
        raise ZeroDivisionError
    assert queries.names(run.id) == ["loss"]
    assert_same_points(queries.raw(run.id, "loss"), line(0, 10))


def test_values_whose_mean_no_double_can_hold_are_logged(run: Run) -> None:
    """PostgreSQL divides their total by their number for its index of means, and refuses to underflow."""
    tiny = Points.of([0, 1, 2], [0.0, 5e-324, -1e-300], [1.0, 2.0, 3.0])
    store.append(run.id, {"loss": tiny})
    store.append(run.id, {"loss": Points.of([3], [5e-324], [4.0])})
    assert queries.raw(run.id, "loss").values.tolist() == [0.0, 5e-324, -1e-300, 5e-324]
    found = queries.summaries([run.id])[run.id]["loss"]
    assert (found.minimum, found.maximum, found.mean) == (-1e-300, 5e-324, 0.0)


def test_columns_of_different_lengths_are_refused(run: Run) -> None:
    with pytest.raises(ValueError, match="differ in length"):
        store.append(run.id, {"loss": Points(np.arange(3), np.zeros(2), np.zeros(3))})


def test_points_go_with_their_run(run: Run) -> None:
    store.append(run.id, {"loss": line(0, 10_000)})
    run.delete()
    assert not Series.objects.exists()
    assert not Chunk.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_writing_outside_a_transaction_is_refused() -> None:
    run_id = make_run().id
    with pytest.raises(TransactionManagementError):
        store.append(run_id, {"loss": line(0, 1)})
    with pytest.raises(TransactionManagementError):
        store.rewind(run_id, 0)


@pytest.mark.django_db(transaction=True)
def test_two_writers_of_one_series_lose_nothing() -> None:
    run_id, each, writers = make_run().id, 120, 3
    errors: Counter[str] = Counter()

    def write(writer: int) -> None:
        try:
            for index in range(each):
                step = index * writers + writer
                names = ["b", "a"] if writer else ["a", "c", "b"]
                with transaction.atomic():
                    store.append(run_id, {name: line(step, 1) for name in names})
        except Exception as error:  # a thread must report, not die in silence
            errors[repr(error)] += 1
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for name in "ab":
        assert_same_points(queries.raw(run_id, name), line(0, each * writers))
        assert queries.summaries([run_id])[run_id][name].count == each * writers
