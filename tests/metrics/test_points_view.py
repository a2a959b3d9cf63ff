"""The view `metric_points` has every point as a plain row, the float exactly."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.metrics.runs import make_run
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db
ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308]


def rows(run: Run, name: str = "loss") -> list[tuple[int, float, datetime]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT step, value, time FROM metric_points WHERE run_id = %s AND name = %s ORDER BY step", [run.pk, name]
        )
        return cursor.fetchall()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.floats(width=64) | st.sampled_from(ODD), min_size=1, max_size=60))
def test_any_float_comes_out_as_it_was_logged(db: None, values: list[float]) -> None:
    run, steps = make_run(), np.arange(len(values)) - 5
    store.append(run.pk, {"loss": Points.of(steps, values, 1e9 + steps)})
    found = rows(run)
    assert [row[0] for row in found] == steps.tolist()
    np.testing.assert_array_equal(np.array([row[1] for row in found]), np.array(values))
    signs = [
        (np.signbit(row[1]), np.signbit(value)) for row, value in zip(found, values, strict=True) if value == value
    ]
    assert all(one == other for one, other in signs)
    assert [row[2] for row in found] == [datetime.fromtimestamp(1e9 + step, UTC) for step in steps.tolist()]


def test_points_of_many_chunks_runs_and_metrics_are_rows_of_their_own(run: Run) -> None:
    steps, other = np.arange(20_000), make_run()
    store.append(run.pk, {"loss": Points.of(steps, np.sin(steps), steps), "lr": Points.of([3], [0.5], [1.0])})
    store.append(other.pk, {"loss": Points.of([2**63 - 1, -(2**63)], [1.0, 2.0], [1.0, 2.0])})
    far = [-(2**62), 0, 2**62 - 1, 2**62]
    store.append(
        other.pk, {"far": Points.of(far, [1.0] * 4, [1.0] * 4), "even": Points.of(range(-7, 90, 3), *[[0] * 33] * 2)}
    )
    assert [row[:2] for row in rows(run)] == list(zip(steps.tolist(), np.sin(steps).tolist(), strict=True))
    assert [row[:2] for row in rows(run, "lr")] == [(3, 0.5)]
    assert [row[:2] for row in rows(other)] == [(-(2**63), 2.0), (2**63 - 1, 1.0)]
    assert [row[0] for row in rows(other, "far")] == far
    assert [row[0] for row in rows(other, "even")] == list(range(-7, 90, 3))


@pytest.mark.django_db(transaction=True)
def test_the_view_goes_and_comes_back_with_its_migration() -> None:
    run = make_run()
    call_command("migrate", "metrics", "0004_points_keys", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('metric_points'), to_regproc('metric_float')")
        assert cursor.fetchone() == (None, None)
    call_command("migrate", "metrics", verbosity=0)
    assert rows(run) == []
