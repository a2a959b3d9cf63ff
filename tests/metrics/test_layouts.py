"""How charts are drawn: in an address, or saved in a project."""

from __future__ import annotations

import pytest
from django.http import QueryDict

from tests.runs import scene
from webapp.accounts.errors import Invalid
from webapp.metrics.layouts import Settings, chosen, delete_layout, layouts_of, save_layout, settings_of

pytestmark = pytest.mark.django_db


def test_an_address_tells_settings_and_what_can_not_be_is_left_out() -> None:
    query = "x=metric:eval/loss&smoothing=2&log_y=1&pin=a&pin=b/c&unknown=1&clip=maybe"
    assert Settings.of(QueryDict(query)) == Settings(x="metric:eval/loss", log_y=True, pin=["a", "b/c"])
    assert Settings.of(QueryDict("x=epoch")) == Settings()
    assert Settings.of(QueryDict("tab=log")) is None


def test_the_address_counts_before_the_layout_and_that_before_the_default() -> None:
    project, user = scene.project(), scene.person()
    usual = save_layout(project, user, "usual", Settings(smoothing=0.9), is_default=True)
    other = save_layout(project, user, "other", Settings(pin=["a"]))
    layouts = layouts_of(project)
    assert chosen(QueryDict(""), layouts) == (usual, Settings(smoothing=0.9))
    assert chosen(QueryDict(f"layout={other.pk}"), layouts) == (other, Settings(pin=["a"]))
    assert chosen(QueryDict("x=time"), layouts) == (None, Settings(x="time"))
    assert chosen(QueryDict("layout=99"), []) == (None, None)


def test_a_layout_of_the_same_name_is_replaced_and_one_is_the_default() -> None:
    project, user = scene.project(), scene.person()
    for name in ("a", "b", " a "):
        save_layout(project, user, name, Settings(pin=[name]), is_default=True)
    assert [(one.name, one.is_default, settings_of(one).pin) for one in layouts_of(project)] == [
        ("a", True, [" a "]),
        ("b", False, ["b"]),
    ]
    delete_layout(layouts_of(project)[0])
    assert [one.name for one in layouts_of(project)] == ["b"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 61])
def test_a_layout_needs_a_name(name: str) -> None:
    with pytest.raises(Invalid, match="1 to 60"):
        save_layout(scene.project(), scene.person(), name, Settings())
