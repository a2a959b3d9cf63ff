"""Saved views: their rules, kept by the actions and by the database."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from tests.runs import scene
from webapp.runs import saved_views
from webapp.runs.errors import Invalid
from webapp.runs.models import SavedView
from webapp.runs.saved_views import Shown, change, create, default_of, delete, save, views_of

pytestmark = pytest.mark.django_db
SHOWN = Shown(q="status = 'failed'", sort="-eval/loss", columns=("status", 'metrics."a,b".min'), group="params.x")


def test_a_view_gives_back_what_was_saved() -> None:
    view = create(scene.project(), scene.person(), "  my   view ", SHOWN)
    view.refresh_from_db()
    assert (view.name, Shown.of_view(view)) == ("my view", SHOWN)


def test_saving_under_the_same_name_is_saving_in_its_place() -> None:
    first = save(scene.project(), scene.person(), "mine", SHOWN)
    second = save(scene.project(), scene.person(), "mine", Shown(q="other"))
    assert first.pk == second.pk
    assert [Shown.of_view(view).q for view in views_of(scene.project())] == ["other"]


def test_one_view_of_a_project_is_its_default() -> None:
    project, user = scene.project(), scene.person()
    one, two = (create(project, user, name, Shown(), is_default=True) for name in ("one", "two"))
    elsewhere = create(scene.project("Other"), user, "one", Shown(), is_default=True)
    assert default_of(project) == two
    change(one, is_default=True)
    assert default_of(project) == one
    change(two, is_default=False)
    assert default_of(project) == one and default_of(scene.project("Other")) == elsewhere
    change(one, is_default=False)
    assert default_of(project) is None


def test_renaming_keeps_the_rest_and_refuses_a_name_that_is_taken() -> None:
    one = create(scene.project(), scene.person(), "one", SHOWN)
    create(scene.project(), scene.person(), "two", Shown())
    assert Shown.of_view(change(one, name="three")) == SHOWN
    assert change(one, name="three").name == "three"
    with pytest.raises(Invalid, match="'two' already"):
        change(one, name="two")
    with pytest.raises(Invalid, match="'three' already"):
        create(scene.project(), scene.person(), "three", Shown())


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "\x00"])
def test_a_name_has_one_to_sixty_characters(name) -> None:
    with pytest.raises(Invalid, match="1 to 60 characters"):
        create(scene.project(), scene.person(), name, Shown())


def test_a_project_has_no_more_views_than_its_menu_can_hold(monkeypatch) -> None:
    monkeypatch.setattr(saved_views, "MOST_VIEWS", 1)
    view = save(scene.project(), scene.person(), "one", Shown())
    save(scene.project(), scene.person(), "one", SHOWN)
    with pytest.raises(Invalid, match="at most 1 views"):
        save(scene.project(), scene.person(), "two", Shown())
    delete(view)
    save(scene.project(), scene.person(), "two", Shown())


@pytest.mark.parametrize(
    "told", [{"q": "status ="}, {"q": "x" * 2001}, {"columns": ["x"] * 41}, {"columns": [""]}, {"sort": "x" * 301},
             {"other": "x"}, {"tag": "a\x00"}],
)  # fmt: skip
def test_what_can_not_be_shown_is_not_saved(told) -> None:
    with pytest.raises(Invalid):
        Shown.of(told)


@pytest.mark.parametrize("wrong", [{"name": ""}, {"columns": ["x"] * 41}, {"name": "one"}, {"is_default": True}])
def test_the_database_refuses_what_the_actions_would(wrong) -> None:
    project = scene.project()
    create(project, scene.person(), "one", Shown(), is_default=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        SavedView.objects.create(project=project, **{"name": "two", **wrong})


def test_a_view_that_is_deleted_meanwhile_is_not_changed() -> None:
    view = create(scene.project(), scene.person(), "mine", Shown())
    held = SavedView.objects.get(pk=view.pk)
    delete(view)
    with pytest.raises(Invalid, match="somebody has deleted it"):
        change(held, name="ours")
