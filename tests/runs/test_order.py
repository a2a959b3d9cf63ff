"""THE order of a queue, against its definition written out in Python."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runs import scene
from webapp.runs import queries
from webapp.runs.models import Queue, Run
from webapp.runs.states import ACTIVE, Status

pytestmark = pytest.mark.django_db

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "project": st.integers(0, 2),
            "queue": st.sampled_from(["default", "other"]),
            "status": st.sampled_from([*[Status.QUEUED] * 6, Status.RUNNING, Status.PAUSING, Status.LOST]),
            "priority": st.integers(-1, 1),
            "rank": st.none() | st.integers(1, 3),
            "kind": st.sampled_from(["pretrain", "pretrain", "external"]),
            "share": st.sampled_from(["", "", "sweep:1", "sweep:2"]),
        }
    ),
    max_size=14,
)


def defined_order(runs: list[Run], queue: str) -> list[int]:
    """priority DESC, rank ASC NULLS LAST, turn ASC, id ASC; turn = active runs of the project + place within it.

    The place within a project goes by share turns: active runs of the share + place within it.
    """

    def by_hand(run: Run) -> tuple:
        return (-run.priority, run.rank is None, run.rank or 0)

    waiting = [run for run in runs if run.status == Status.QUEUED and run.queue_id == queue]
    turns = {}
    for project in {run.project_id for run in waiting}:
        mine = [r for r in runs if r.project_id == project]
        active = [r for r in mine if r.status in ACTIVE and r.kind != "external"]
        place = {}
        for share in {run.share for run in mine}:
            busy = sum(run.share == share for run in active)
            line = sorted((r for r in mine if r in waiting and r.share == share), key=lambda r: (*by_hand(r), r.pk))
            place |= {run.pk: busy + number for number, run in enumerate(line, 1)}
        line = sorted((r for r in mine if r in waiting), key=lambda run: (*by_hand(run), place[run.pk], run.pk))
        turns |= {run.pk: len(active) + number for number, run in enumerate(line, 1)}
    return [run.pk for run in sorted(waiting, key=lambda run: (*by_hand(run), turns[run.pk], run.pk))]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS)
def test_the_view_is_the_definition(rows) -> None:
    Run.objects.all().delete()
    projects = [scene.project(name) for name in ("Alpha", "Beta", "Gamma")]
    Queue.objects.bulk_create([Queue(name="default"), Queue(name="other")], ignore_conflicts=True)
    runs = Run.objects.bulk_create(_run(row, projects) for row in rows)
    for queue in ("default", "other"):
        found = list(queries.queue_order(queue))
        assert [run.pk for run in found] == defined_order(runs, queue)
        assert [run.position for run in found] == list(range(1, len(found) + 1))
        assert queries.positions(run.pk for run in found) == {run.pk: run.position for run in found}


def _run(row: dict, projects: list) -> Run:
    fields = {key: row[key] for key in ("status", "priority", "rank", "kind")}
    return Run(project=projects[row["project"]], queue_id=row["queue"], name="x", **fields)
