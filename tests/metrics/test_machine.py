"""Every order of appends, late points, merges, rewinds, windows and exports, against a plain dictionary."""

from __future__ import annotations

import json

import numpy as np
import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.metrics.model import ListSeries, assert_same_points, assert_sums_up
from tests.metrics.runs import make_run
from tests.metrics.test_store import assert_well_kept, batches, line
from webapp.metrics import queries, ranges, store
from webapp.metrics.export import export
from webapp.metrics.models import Series
from webapp.metrics.points import Points, between
from webapp.metrics.ranges import Detail, Range

NAMES = st.sampled_from(["a", "b"])
ENDS = st.none() | st.integers(-30, 41_000)


def assert_has_all_of_note(found: Points, wanted: Points) -> None:
    """The ends, the extremes and a NaN, of those that there are."""
    assert (len(found.steps) > 0) == (len(wanted.steps) > 0)
    if len(wanted.steps):
        assert (found.steps[0], found.steps[-1]) == (wanted.steps[0], wanted.steps[-1])
        assert np.isnan(found.values).any() == np.isnan(wanted.values).any()
        known = wanted.values[~np.isnan(wanted.values)]
        assert not len(known) or (np.nanmin(found.values), np.nanmax(found.values)) == (known.min(), known.max())


class Store(RuleBasedStateMachine):
    """One run in one transaction, which is rolled back."""

    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        self.lab = make_run()
        self.run = self.lab.pk
        self.model = {"a": ListSeries(), "b": ListSeries()}

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

    @rule(name=NAMES, points=batches())
    def append(self, name: str, points: Points) -> None:
        store.append(self.run, {name: points})
        self.model[name].append(points)

    @rule(count=st.integers(1, 70))
    def log_one_by_one(self, count: int) -> None:
        """What makes small chunks, and merges them."""
        for _ in range(count):
            step = max(max(series.points, default=-1) for series in self.model.values()) + 1
            for series in self.model.values():
                series.append(line(step, 1))
            store.append(self.run, {name: line(step, 1) for name in self.model})

    @rule(step=st.integers(-30, 41_000))
    def rewind(self, step: int) -> None:
        store.rewind(self.run, step)
        for series in self.model.values():
            series.rewind(step)

    @precondition(lambda self: any(series.points for series in self.model.values()))
    @rule(data=st.data(), start=ENDS, stop=ENDS, points=st.integers(8, 300))
    def window(self, data: st.DataObject, start: int | None, stop: int | None, points: int) -> None:
        """Some of the points within, both ends, the extremes and a NaN among them."""
        name = data.draw(st.sampled_from([name for name, series in self.model.items() if series.points]))
        all_points = self.model[name].columns()
        inside = np.ones(len(all_points.steps), bool)
        inside &= all_points.steps >= (-(2**63) if start is None else start)
        inside &= all_points.steps <= (2**63 - 1 if stop is None else stop)
        wanted, found = all_points.take(inside), queries.window(self.run, name, start=start, stop=stop, points=points)
        assert found.count == len(wanted.steps) >= len(found.x) and len(found.x) <= points
        np.testing.assert_array_equal(found.y, wanted.values[np.searchsorted(wanted.steps, found.x)])
        assert_has_all_of_note(Points.of(found.x, found.y, found.x), wanted)

    @rule(name=NAMES, detail=st.sampled_from(Detail), axis=st.sampled_from(["step", "time"]), start=ENDS, stop=ENDS)
    def read_in_small(self, name: str, detail: Detail, axis: str, start: int | None, stop: int | None) -> None:
        """However few points there are: of each chunk the ends of what is wanted, the extremes and a NaN."""
        series = Series.objects.filter(run=self.run, name=name).first()
        if series is None:
            return
        offset = 0 if axis == "step" else 1e9
        ends = {f"first_{axis}": start, f"last_{axis}": stop}
        within = Range(**{end: offset + value for end, value in ends.items() if value is not None})
        wanted, (count, found) = within.select(self.model[name].columns()), ranges.read(series.pk, within, detail)
        assert count == len(wanted.steps) >= len(found.steps)
        assert found.is_sorted()
        assert_same_points(found, wanted.take(np.searchsorted(wanted.steps, found.steps)))
        for first, last in series.chunks.values_list("first_step", "last_step"):
            assert_has_all_of_note(between(found, first, last), between(wanted, first, last))

    @rule()
    def export(self) -> None:
        names = queries.names(self.run)
        text = b"".join(export(self.lab, names, "jsonl")).decode()
        found = [json.loads(row) for row in text.splitlines()]
        for name in names:
            mine = [(row["step"], float(row["value"]), row["time"]) for row in found if row["name"] == name]
            np.testing.assert_equal(mine, self.model[name].rows())
        assert len(found) == sum(len(series.points) for series in self.model.values())

    @invariant()
    def agrees(self) -> None:
        present = {name: series for name, series in self.model.items() if series.points}
        summaries = queries.summaries([self.run])[self.run]
        assert list(summaries) == sorted(present)
        for name, series in present.items():
            assert_same_points(queries.raw(self.run, name), series.columns())
            assert_sums_up(summaries[name], series)
        for row in Series.objects.filter(run=self.run):
            assert_well_kept(row)


@pytest.mark.django_db
def test_any_interleaving_agrees_with_a_dictionary() -> None:
    few = settings(max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Store, settings=few)
