"""Ladders as pages: who gets what, the form with its plan, and what a ladder shows."""

from __future__ import annotations

from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from tests.pages.team import ROLES, Team
from tests.pages.test_markup import check
from tests.pages.test_run_access import EDITORS, MEMBERS, outcome
from tests.pages.test_sweep_edit import Filled
from tests.scaling import ladders
from webapp.pages.scaling.ladder_urls import urlpatterns
from webapp.runs.models import Run
from webapp.scaling.models import Ladder

pytestmark = pytest.mark.django_db

READ_BY_MEMBERS = {"ladder", "ladder-progress"}
READ_BY_EDITORS = {"ladder-new", "ladder-delete"}
WRITTEN_BY_EDITORS = {"ladder-new", "ladder-plan", "ladder-next", "ladder-cancel", "ladder-delete"}
NAMES = sorted(READ_BY_MEMBERS | READ_BY_EDITORS | WRITTEN_BY_EDITORS)


@pytest.fixture
def ladder(team: Team) -> Ladder:
    return ladders.create(project=team.project, user=team.people["editor"], name="small ones")


def address(team: Team, name: str, ladder: Ladder | None = None) -> str:
    own = [] if name in ("ladder-new", "ladder-plan") or ladder is None else [ladder.pk]
    return reverse(name, args=[team.project.slug, *own])


def page(team: Team, name: str, ladder: Ladder | None = None, role: str = "editor") -> str:
    answer = team.client(role).get(address(team, name, ladder))
    assert answer.status_code == 200
    check(name, answer)
    return unescape(answer.content.decode())


def submit(team: Team, **changes: str) -> Any:
    values = Filled(page(team, "ladder-new"), "new-ladder").values
    return team.client("editor").post(address(team, "ladder-new"), {**values, "do": "start", **changes})


def test_every_route_is_decided_here() -> None:
    assert {str(pattern.name) for pattern in urlpatterns} == {*NAMES}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(READ_BY_MEMBERS | READ_BY_EDITORS))
def test_reading(team: Team, ladder: Ladder, name: str, role: str) -> None:
    expected = MEMBERS if name in READ_BY_MEMBERS else EDITORS
    assert outcome(team.client(role).get(address(team, name, ladder))) == expected[role]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(WRITTEN_BY_EDITORS))
def test_writing(team: Team, ladder: Ladder, name: str, role: str) -> None:
    sent = {"do": "refresh", "N": "30000", "D": "600000"}
    assert outcome(team.client(role).post(address(team, name, ladder), sent)) == EDITORS[role]


def test_a_ladder_of_another_project_is_not_at_this_address(team: Team) -> None:
    foreign = ladders.create()
    assert team.client("owner").get(address(team, "ladder", foreign)).status_code == 404


def test_the_form_as_it_comes_shows_its_runs_and_their_cost_and_queues_them(team: Team) -> None:
    text = page(team, "ladder-new")
    assert "Queue 12 runs, " in text and "held out" in text
    values = Filled(text, "new-ladder").values
    planned = team.client("editor").post(address(team, "ladder-plan"), values).content.decode()
    assert "Queue 12 runs, " in planned
    assert 'hx-swap-oob="true"' in planned
    assert not Run.objects.exists()
    answer = submit(team, name="first")
    made = Ladder.objects.get()
    assert answer.status_code == 302 and answer["Location"] == address(team, "ladder", made)
    assert made.rungs.count() == Run.objects.filter(kind="pretrain", status="queued").count() == 12
    assert made.definition["target_flops"] == 1e13


def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(team: Team) -> None:
    answer = submit(team, **{"ladder.target_flops": "much", "ladder.seeds": "2"})
    text = unescape(answer.content.decode())
    assert answer.status_code == 422 and 'value="much"' in text and "valid number" in text
    wrong = submit(team, sequence_length="1").content.decode()
    assert "greater than or equal to 2" in wrong
    assert not Ladder.objects.exists()


def test_a_ladder_tells_its_rungs_its_fit_and_the_next_run_and_queues_it(
    team: Team, ladder: Ladder, tmp_path: Path
) -> None:
    text = page(team, "ladder", ladder, "viewer")
    assert "There is no fit yet" in text and "0 of 12" in text and 'hx-trigger="every 5s"' in text
    ladders.train_all(ladder)
    ladders.fit(ladder, tmp_path)
    text = page(team, "ladder", ladder)
    assert "12 of 12" in text and "Loss at the target" in text and "Linearised" in text
    assert reverse("fit", args=[team.project.slug, ladder.fit_id]) in text
    assert "Queue it" in text and "Queue it" not in page(team, "ladder", ladder, "viewer")
    sent = {"N": "30000", "D": "600000"}
    answer = team.client("editor").post(address(team, "ladder-next", ladder), sent, follow=True)
    assert "Rung 13 waits for a slot." in answer.content.decode()
    wrong = team.client("editor").post(address(team, "ladder-next", ladder), {"N": "x"}, follow=True)
    assert "N must be a positive number" in wrong.content.decode()


def test_it_is_deleted_after_a_question(team: Team, ladder: Ladder) -> None:
    assert "Delete small ones?" in page(team, "ladder-delete", ladder)
    answer = team.client("editor").post(address(team, "ladder-delete", ladder), follow=True)
    assert "small ones is deleted." in answer.content.decode()
    assert team.client("editor").get(address(team, "ladder", ladder)).status_code == 404


def test_its_runs_are_cancelled_by_one_button(team: Team, ladder: Ladder) -> None:
    answer = team.client("editor").post(address(team, "ladder-cancel", ladder), follow=True)
    assert "12 runs cancelled." in answer.content.decode()
