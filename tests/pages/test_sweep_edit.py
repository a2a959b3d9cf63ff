"""The form that changes a sweep: only what was changed is asked, nothing typed is lost."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django.http import HttpResponse
from django.urls import reverse

from tests.pages.team import Team
from tests.pages.test_markup import check
from tests.sweeps import scene
from webapp.sweeps.models import Sweep, SweepEvent

pytestmark = pytest.mark.django_db


class Filled(HTMLParser):
    """What a browser sends of the form with this id, when nobody touched it."""

    def __init__(self, page: str, form: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.form, self.name, self.is_inside, self.is_text = form, "", False, False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.is_inside = given.get("id") == self.form if tag == "form" else self.is_inside
        name = given.get("name") or ""
        if not self.is_inside:
            return
        if tag == "input" and name and given.get("type") not in ("checkbox", "file"):
            self.values[name] = given.get("value") or ""
        if tag in ("select", "textarea"):
            self.name = name
            self.values.setdefault(name, "")
            self.is_text = tag == "textarea"
        if tag == "option" and "selected" in given:
            self.values[self.name] = given.get("value") or ""

    def handle_data(self, data: str) -> None:
        if self.is_text:
            self.values[self.name] += data

    def handle_endtag(self, tag: str) -> None:
        self.is_inside = self.is_inside and tag != "form"
        self.is_text = self.is_text and tag != "textarea"


@pytest.fixture
def sweep(team: Team) -> Sweep:
    made = scene.create(
        project=team.project,
        user=team.people["editor"],
        name="first",
        tags=["a"],
        stopper={"name": "asha", "min_steps": 10},
        budget={"gpu_hours": 2},
    )
    return scene.advanced(made)


def address(sweep: Sweep) -> str:
    return reverse("sweep-edit", args=[sweep.project.slug, sweep.pk])


def post(team: Team, sweep: Sweep, do: str = "save", **changes: str) -> HttpResponse:
    page = team.client("editor").get(address(sweep)).content.decode()
    answer = team.client("editor").post(address(sweep), {**Filled(page, "edit-sweep").values, **changes, "do": do})
    sweep.refresh_from_db()
    return answer


def test_the_form_is_clean_markup(team: Team, sweep: Sweep) -> None:
    check("edit", team.client("editor").get(address(sweep)))


def test_an_untouched_form_changes_nothing(team: Team, sweep: Sweep) -> None:
    before = dict(sweep.definition)
    assert post(team, sweep).status_code == 302
    assert (sweep.definition, sweep.revision) == (before, 1)
    assert not SweepEvent.objects.filter(sweep=sweep, message__startswith="Changed").exists()


def test_only_what_was_changed_is_told(team: Team, sweep: Sweep) -> None:
    post(team, sweep, **{"space-1-choices": "4, 64", "sweep.concurrency": "7"})
    assert sweep.definition["search"]["space"]["batch_size"]["choices"] == [4, 64]
    assert sweep.definition["concurrency"] == 7
    told = SweepEvent.objects.filter(sweep=sweep, message__startswith="Changed").values_list("message", flat=True)
    assert list(told) == ["Changed: concurrency, search."]


def test_name_tags_and_priority_change_without_a_new_revision(team: Team, sweep: Sweep) -> None:
    post(team, sweep, name="second", tags="b, c", priority="4")
    assert (sweep.name, sweep.tags, sweep.priority, sweep.revision) == ("second", ["b", "c"], 4, 1)


def test_a_stopper_is_taken_off_and_a_limit_lifted(team: Team, sweep: Sweep) -> None:
    post(team, sweep, **{"sweep.stopper.name": "", "sweep.budget.gpu_hours": ""})
    assert sweep.definition["stopper"] is None
    assert sweep.definition["budget"]["gpu_hours"] is None


def test_a_wrong_value_comes_back_with_everything(team: Team, sweep: Sweep) -> None:
    answer = post(team, sweep, **{"space-0-low": "9", "name": "kept", "constraints": "optimizer.lr <"})
    page = answer.content.decode()
    assert answer.status_code == 422
    kept = Filled(page, "edit-sweep").values
    assert (kept["space-0-low"], kept["name"], kept["constraints"]) == ("9", "kept", "optimizer.lr <")
    assert (sweep.name, sweep.revision) == ("first", 1)
    check("again", answer)


def test_rows_come_and_go_without_saving(team: Team, sweep: Sweep) -> None:
    answer = post(team, sweep, do="add")
    assert "space-2-path" in answer.content.decode()
    assert sweep.revision == 1


def test_a_list_of_points_and_what_is_reported_survive_an_untouched_form(team: Team) -> None:
    points = [{"optimizer.lr": 1e-3, "batch_size": 4}, {"optimizer.lr": 1e-4, "batch_size": 8}]
    space = {"optimizer.lr": {"choices": [1e-3, 1e-4]}, "batch_size": {"choices": [4, 8]}}
    made = scene.create(
        project=team.project, user=team.people["editor"], trials=2,
        search={"sampler": {"name": "listed", "points": points}, "space": space},
        seeds={"tune": 1, "test": 2, "test_each": "batch_size"},
    )  # fmt: skip
    before = dict(made.definition)
    assert post(team, made).status_code == 302
    assert (made.definition, made.revision) == (before, 1)
