"""Fits: created, revised, edited, deleted; each revision is a run on the points of its time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs import scene as runs
from tests.scaling import scene
from webapp.accounts.errors import Invalid
from webapp.runs import actions as run_actions
from webapp.runs.errors import WrongState
from webapp.runs.models import Run
from webapp.scaling import actions, queries
from webapp.scaling.models import Fit, Revision

pytestmark = pytest.mark.django_db


def refused(call: Any, *arguments: Any, **fields: Any) -> list[str]:
    with pytest.raises(Invalid) as caught:
        call(*arguments, **fields)
    return [".".join(map(str, error["loc"])) for error in caught.value.errors]


def test_a_fit_begins_with_a_revision_that_is_an_ordinary_run() -> None:
    scene.grid()
    fit = scene.create_fit(name="chinchilla on the ladder")
    revision = queries.pending(fit)
    assert revision is not None and revision.number == 1
    assert (revision.run.name, revision.run.tags, revision.run.kind) == (fit.name, [f"fit-{fit.pk}"], "scaling_fit")
    assert revision.run.status == "queued"
    assert revision.run.created_by == runs.person()
    assert len(revision.run.spec["points"]["runs"]) == 9
    assert (fit.spec["points"]["columns"], fit.spec["points"]["runs"]) == (None, None)
    assert queries.latest(fit) is None
    scene.fitted(revision)
    latest = queries.latest(fit)
    assert latest is not None and latest.pk == revision.pk
    assert queries.pending(fit) is None


def test_what_is_wrong_is_told_with_its_place_and_nothing_is_written() -> None:
    assert refused(scene.create_fit) == ["spec.points.query"]
    assert refused(scene.create_fit, spec=scene.fit(law={"name": "no"})) == ["spec.law.name"]
    assert refused(scene.create_fit, spec={**scene.fit(), "kind": "pretrain"}) == ["spec.kind"]
    assert refused(scene.create_fit, name="x" * 201) == ["name"]
    table = {"source": "table", "columns": {"N": [1.0], "D": [1.0], "loss": [1.0]}}
    assert refused(scene.create_fit, spec=scene.fit() | {"points": table}, is_kept_current=True) == ["is_kept_current"]
    assert not Fit.objects.exists()
    assert not Run.objects.exists()


def test_a_revision_takes_the_points_of_now() -> None:
    scene.grid()
    fit = scene.create_fit()
    tenth = scene.outside(1e8, 1e9)
    second = actions.revise(fit)
    assert second.number == 2
    assert second.run.spec["points"]["runs"][-1] == tenth.pk
    first, again = Revision.objects.filter(fit=fit)
    assert first.points_hash != again.points_hash == second.points_hash


def test_another_spec_is_fitted_at_once_and_another_name_is_not() -> None:
    scene.grid()
    fit = scene.create_fit()
    actions.edit_fit(fit, name="renamed")
    actions.edit_fit(fit, spec=scene.fit())
    assert Revision.objects.filter(fit=fit).count() == 1
    edited = actions.edit_fit(fit, spec=scene.fit(objective={"name": "l1_log"}))
    assert edited.name == "renamed"
    assert edited.spec["objective"] == {"name": "l1_log"}
    last = queries.revisions(edited)[0]
    assert (last.number, last.run.spec["objective"]) == (2, {"name": "l1_log"})
    assert last.run.name == "renamed"


def test_an_edit_that_is_refused_changes_nothing() -> None:
    scene.grid()
    fit = scene.create_fit(name="kept")
    place = refused(actions.edit_fit, fit, name="other", spec=scene.fit(points={"query": "nothing"}))
    assert place == ["spec.points.query"]
    fit.refresh_from_db()
    assert (fit.name, fit.spec["points"]["query"]) == ("kept", "ladder")
    assert Revision.objects.count() == 1


def test_a_deleted_fit_is_gone_and_what_was_measured_stays() -> None:
    scene.grid()
    fit = scene.create_fit()
    done = scene.fitted(queries.pending(fit))
    waiting = actions.revise(fit)
    actions.delete_fit(fit)
    actions.delete_fit(fit)
    assert queries.fit_of(fit.project, fit.pk) is None
    assert not queries.fits_of(fit.project).exists()
    assert not queries.visible(runs.person()).exists()
    statuses = dict(Run.objects.filter(kind="scaling_fit", deleted_at=None).values_list("pk", "status"))
    assert statuses == {done.run_id: "succeeded", waiting.run_id: "cancelled"}
    with pytest.raises(WrongState, match="was deleted"):
        actions.revise(fit)
    with pytest.raises(WrongState, match="was deleted"):
        actions.edit_fit(fit, name="x")


def test_a_revision_whose_run_was_deleted_is_none() -> None:
    scene.grid()
    fit = scene.create_fit()
    run_actions.delete(scene.fitted(queries.pending(fit)).run)
    assert queries.latest(fit) is None
    assert not queries.revisions(fit).exists()
    assert actions.revise(fit).number == 2


def test_what_was_measured_later_is_told_with_the_revision_that_foresaw_it() -> None:
    scene.grid()
    fit = scene.create_fit()
    first = scene.fitted(queries.pending(fit))
    assert queries.measured_later(fit) == []
    tenth = scene.outside(1e8, 1e9, loss=2.5)
    failed = actions.revise(fit)
    run_actions.cancel(failed.run)
    second = scene.fitted(actions.revise(fit))
    eleventh = scene.outside(2e8, 1e9, loss=2.4)
    actions.edit_fit(fit, spec=scene.fit(holdout={"largest": 1, "by": "N"}))
    scene.fitted(queries.pending(fit))
    assert [tuple(later) for later in queries.measured_later(fit)] == [
        (first, tenth.pk, {"N": 1e8, "D": 1e9}, 2.5),
        (second, eleventh.pk, {"N": 2e8, "D": 1e9}, 2.4),
    ]


def test_another_law_foresaw_nothing_of_this_one() -> None:
    scene.grid()
    fit = scene.create_fit()
    scene.fitted(queries.pending(fit))
    scene.outside(1e8, 1e9)
    actions.edit_fit(fit, spec=scene.fit(law={"name": "power", "x": "N"}))
    scene.fitted(queries.pending(fit))
    assert queries.measured_later(fit) == []


def test_a_list_of_fits_costs_one_query_for_their_revisions(django_assert_num_queries: Any) -> None:
    scene.grid()
    fits = [scene.create_fit() for _ in range(3)]
    scene.fitted(queries.pending(fits[0]))
    with django_assert_num_queries(2):
        done, open_ = queries.latest_of(fits), queries.pending_of(fits)
        assert {pk: revision.run.project.slug for pk, revision in done.items()} == {fits[0].pk: "alpha"}
        assert set(open_) == {fits[1].pk, fits[2].pk}
