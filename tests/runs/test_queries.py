"""What pages and plans ask: counts, queues, positions."""

from __future__ import annotations

import pytest

from tests.runs import scene
from webapp.runs import actions, queries

pytestmark = pytest.mark.django_db


def test_runs_are_counted_by_project_and_status() -> None:
    alpha, beta, empty = scene.project("Alpha"), scene.project("Beta"), scene.project("Empty")
    for _ in range(2):
        scene.submit(alpha)
    actions.pause(scene.submit(alpha))
    actions.delete(scene.submit(alpha))
    scene.submit(beta)
    assert queries.counts([alpha, beta, empty]) == {
        alpha.pk: {"queued": 2, "paused": 1},
        beta.pk: {"queued": 1},
        empty.pk: {},
    }


def test_queues_are_listed_with_what_waits_and_what_runs() -> None:
    scene.running()
    scene.submit()
    scene.submit()
    actions.delete(scene.submit())
    scene.submit(queue="big")
    actions.create_external(project=scene.project(), user=None, name="x")
    assert [(queue.name, queue.waiting, queue.active) for queue in queries.queues()] == [
        ("big", 1, 0),
        ("default", 2, 1),
    ]


def test_positions_are_told_for_queued_runs_only() -> None:
    a, b, c = scene.submit(), scene.submit(priority=1), scene.submit()
    actions.pause(c)
    assert queries.positions([a.pk, b.pk, c.pk]) == {b.pk: 1, a.pk: 2}
