"""Fits that are kept current: revised when a run lands, never twice, and not when nothing changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from tests.runs import scene as runs
from tests.scaling import scene
from webapp.runs import actions as run_actions
from webapp.runs.models import Run
from webapp.scaling import actions, queries
from webapp.scaling.models import Fit, Revision
from workers.sweeper import calmly_keep

pytestmark = pytest.mark.django_db


def kept(**fields: Any) -> Fit:
    """A fit that is kept current and whose first revision is done."""
    if not Run.objects.exists():
        scene.grid()
    fit = scene.create_fit(is_kept_current=True, **fields)
    scene.fitted(queries.pending(fit))
    return later(fit)


def later(fit: Fit) -> Fit:
    """As if it had been looked at a minute ago."""
    Fit.objects.filter(pk=fit.pk).update(looked_at=F("looked_at") - timedelta(minutes=1))
    fit.refresh_from_db()
    return fit


def numbers(fit: Fit) -> list[int]:
    return list(Revision.objects.filter(fit=fit).values_list("number", flat=True))


def test_a_run_that_lands_revises_the_fit_once() -> None:
    fit = kept()
    tenth = scene.outside(1e8, 1e9)
    assert actions.keep_current() == 1
    revision = queries.pending(fit)
    assert revision is not None and revision.number == 2
    assert revision.run.spec["points"]["runs"][-1] == tenth.pk
    assert revision.run.created_by == fit.created_by
    scene.fitted(revision)
    later(fit)
    assert actions.keep_current() == 0
    assert numbers(fit) == [1, 2]


def test_nothing_is_revised_when_nothing_changed() -> None:
    fit = kept()
    assert actions.keep_current() == 0  # the grid ended just before the fit was made
    run = scene.outside(1e8, 1e9)
    run_actions.update(run, tags=["another"])
    later(fit)
    assert actions.keep_current() == 0
    later(fit)
    failed = run_actions.create_external(project=fit.project, user=None, name="f", tags=["ladder"], spec={})
    run_actions.finish_external(failed, "failed")
    scene.outside(1e8, 1e9, where=runs.project("Beta"))
    assert actions.keep_current() == 0
    assert numbers(fit) == [1]


def test_a_run_that_is_deleted_is_taken_out() -> None:
    fit = kept()
    run_actions.delete(Run.objects.filter(kind="external").latest("id"))
    assert actions.keep_current() == 1
    assert len(queries.revisions(fit)[0].run.spec["points"]["runs"]) == 8


def test_an_unfinished_revision_is_waited_for() -> None:
    fit = kept()
    waiting = actions.revise(fit)
    scene.outside(1e8, 1e9)
    later(fit)
    assert actions.keep_current() == 0
    run_actions.cancel(waiting.run)
    assert actions.keep_current() == 1


def test_points_whose_revision_was_cancelled_are_not_tried_again() -> None:
    fit = kept()
    scene.outside(1e8, 1e9)
    actions.keep_current()
    run_actions.cancel(queries.pending(fit).run)  # type: ignore[union-attr]
    later(fit)
    assert actions.keep_current() == 0


def test_a_look_is_not_repeated_within_seconds() -> None:
    fit = kept()
    scene.outside(1e8, 1e9)
    Fit.objects.filter(pk=fit.pk).update(looked_at=F("looked_at") + timedelta(minutes=1))
    assert actions.keep_current() == 0


def test_a_fit_that_is_not_kept_stays() -> None:
    fit = kept()
    actions.edit_fit(fit, is_kept_current=False)
    scene.outside(1e8, 1e9)
    assert actions.keep_current() == 0
    actions.edit_fit(fit, is_kept_current=True)
    assert actions.keep_current() == 1


def test_a_deleted_fit_stays() -> None:
    actions.delete_fit(kept())
    scene.outside(1e8, 1e9)
    assert actions.keep_current() == 0


def test_a_fit_may_wait_for_its_first_points() -> None:
    fit = scene.create_fit(is_kept_current=True)
    assert "No run that has succeeded" in fit.notice
    assert numbers(fit) == []
    for size in scene.SIZES:
        scene.outside(size, 1e7)
    later(fit)
    assert actions.keep_current() == 0
    fit.refresh_from_db()
    needs = "law 'chinchilla' with 5 free parameters needs 7 or more"
    assert fit.notice == f"3 runs are found and 3 points are left to fit: {needs}."
    scene.grid()
    later(fit)
    assert actions.keep_current() == 1
    fit.refresh_from_db()
    assert (fit.notice, numbers(fit)) == ("", [1])


def test_a_refusal_is_noted_stops_no_other_fit_and_is_cleared_when_it_is_mended() -> None:
    scene.grid()
    bad = kept(spec=scene.fit(points={"query": "outside"}))
    broken = kept()
    good = kept()
    Fit.objects.filter(pk=bad.pk).update(spec={**bad.spec, "points": {**bad.spec["points"], "x": {"loss": "no/such"}}})
    Fit.objects.filter(pk=broken.pk).update(spec={"kind": "scaling_fit", "law": {"name": "of another version"}})
    scene.outside(1e8, 1e9)
    assert actions.keep_current() == 1
    assert (numbers(bad), numbers(broken), numbers(good)) == ([1], [1], [1, 2])
    for fit in (bad, broken, good):
        fit.refresh_from_db()
    assert "'no/such'" in bad.notice
    assert "law" in broken.notice or "name" in broken.notice
    assert good.notice == ""
    actions.edit_fit(bad, spec=scene.fit())
    bad.refresh_from_db()
    assert bad.notice == ""


def test_something_unforeseen_in_one_fit_is_noted_and_stops_no_other() -> None:
    broken, good = kept(), kept()
    Fit.objects.filter(pk=broken.pk).update(spec=["no object at all"])
    scene.outside(1e8, 1e9)
    assert actions.keep_current() == 1
    broken.refresh_from_db()
    assert broken.notice.startswith("It can't be looked up: ")
    assert numbers(good) == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_revise_a_fit_once() -> None:
    fits = [kept(), kept()]
    scene.outside(1e8, 1e9)
    answers = runs.in_threads([actions.keep_current] * 6)
    assert all(isinstance(answer, int) for answer in answers), answers
    assert sum(answers) == 2
    assert [numbers(fit) for fit in fits] == [[1, 2], [1, 2]]


def test_without_a_kept_fit_it_costs_one_query(django_assert_num_queries: Any) -> None:
    scene.grid()
    scene.create_fit()
    with django_assert_num_queries(1):
        assert actions.keep_current() == 0


def test_the_workers_thread_keeps_them() -> None:
    fit = kept()
    scene.outside(1e8, 1e9)
    calmly_keep()
    assert numbers(fit) == [1, 2]
