"""Editing what people call a run and where it waits."""

from __future__ import annotations

import pytest

from tests.runs import scene
from webapp.runs import actions
from webapp.runs.errors import Invalid
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


def test_only_what_is_named_changes() -> None:
    run = scene.submit(name="one", tags=["a"], priority=1)
    actions.update(run, name="two")
    assert (run.name, run.tags, run.priority, run.queue_id) == ("two", ["a"], 1, "default")
    actions.update(run, tags=[], priority=0)
    assert (run.name, run.tags, run.priority) == ("two", [], 0)


def test_a_baseline_is_set_and_cleared() -> None:
    base, run = scene.submit(), scene.submit()
    assert actions.update(run, baseline=base.id).baseline == base
    assert actions.update(run, name="x").baseline == base
    assert actions.update(run, baseline=None).baseline is None


def test_a_run_is_not_its_own_baseline() -> None:
    run = scene.submit()
    with pytest.raises(Invalid, match="another run"):
        actions.update(run, baseline=run)


def test_a_refused_change_changes_nothing() -> None:
    run = scene.submit(name="one")
    with pytest.raises(Invalid) as caught:
        actions.update(run, name="", priority=5000, tags=["x" * 61])
    assert {error["loc"][0] for error in caught.value.errors} == {"name", "priority", "tags"}
    run.refresh_from_db()
    assert (run.name, run.priority) == ("one", 0)


def test_a_run_that_changes_queue_or_priority_loses_its_hand_given_place() -> None:
    first, run = scene.submit(), scene.submit()
    actions.move(run, 1)
    run.refresh_from_db()
    assert run.rank == 1
    assert actions.update(run, name="x").rank == 1
    assert actions.update(run, priority=0).rank is None
    assert first.rank is None


def test_a_run_moves_to_another_queue() -> None:
    run = scene.submit()
    assert actions.update(run, queue="other").queue_id == "other"
    assert scene.claim() is None
    assert scene.claim(scene.worker("o", queues=["other"])) is not None


@pytest.mark.django_db(transaction=True)
def test_tags_given_at_the_same_time_all_stay() -> None:
    run = scene.submit(tags=["a"])
    names = [f"tag {number}" for number in range(8)]
    scene.in_threads([lambda name=name: actions.tag(Run.objects.get(pk=run.pk), name) for name in names])
    run.refresh_from_db()
    assert run.tags == ["a", *names]


def test_a_tag_that_can_not_be_leaves_the_others() -> None:
    run = scene.submit(tags=["a"])
    with pytest.raises(Invalid, match="no comma"):
        actions.tag(run, "b, c")
    run.refresh_from_db()
    assert run.tags == ["a"]
