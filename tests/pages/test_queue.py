from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from tests.pages.team import Team
from tests.runs import scene
from webapp.accounts import actions as accounts
from webapp.runs import actions
from webapp.runs.models import Queue, Run
from webapp.runs.queries import queue_order

pytestmark = pytest.mark.django_db


@pytest.fixture
def three(team: Team) -> list[Run]:
    return [scene.submit(team.project, user=team.people["owner"], name=name) for name in ("first", "second", "third")]


def shown(client: Client) -> list[int]:
    """The waiting runs in the order of the page's rows."""
    html = client.get(reverse("queue")).content.decode()
    return [int(pk) for pk in re.findall(r'id="waiting-(\d+)"', html)]


def move(client: Client, run: Run, position: object, **headers: str):
    return client.post(reverse("queue-move", args=[run.pk]), {"position": str(position)}, headers=headers)


def test_the_page_shows_the_order_of_the_claim(team: Team, three: list[Run]) -> None:
    actions.update(three[2], priority=9)
    order = [run.pk for run in queue_order("default")]
    assert shown(team.client("viewer")) == order == [three[2].pk, three[0].pk, three[1].pk]


@pytest.mark.parametrize(("run", "position", "order"), [(2, 1, [2, 0, 1]), (0, 2, [1, 0, 2]), (0, 3, [1, 2, 0])])
def test_an_editor_moves_a_run(team: Team, three: list[Run], run: int, position: int, order: list[int]) -> None:
    assert move(team.client("editor"), three[run], position)["Location"] == reverse("queue")
    assert shown(team.client("viewer")) == [three[place].pk for place in order]


def test_a_move_by_script_answers_with_the_new_list(team: Team, three: list[Run]) -> None:
    answer = move(team.client("editor"), three[2], 1, **{"HX-Request": "true"})
    assert answer.status_code == 200
    assert b"<html" not in answer.content
    assert re.findall(r'id="waiting-(\d+)"', answer.content.decode())[0] == str(three[2].pk)


@pytest.mark.parametrize("position", ["0", "-1", "x", "", "1.5", "99999999999"])
def test_a_place_that_is_none_is_refused(team: Team, three: list[Run], position: str) -> None:
    assert move(team.client("editor"), three[0], position).status_code == 400
    assert shown(team.client("editor")) == [run.pk for run in three]


def test_a_place_behind_the_end_is_told_in_a_sentence(team: Team, three: list[Run]) -> None:
    answer = move(team.client("editor"), three[0], 7, **{"HX-Request": "true"})
    assert "position must lie between 1 and 3, not 7." in answer.content.decode()
    assert 'hx-swap-oob="beforeend"' in answer.content.decode()


def test_a_run_that_was_just_claimed_is_not_moved(team: Team, three: list[Run]) -> None:
    attempt = scene.claim()
    assert attempt is not None
    client = team.client("editor")
    answer = client.post(reverse("queue-move", args=[attempt.run_id]), {"position": "1"}, follow=True)
    assert 'class="toast warning"' in answer.content.decode()
    assert shown(client) == [run.pk for run in three[1:]]


def test_an_admin_pauses_and_resumes_a_queue(team: Team, three: list[Run]) -> None:
    client = team.client("admin")
    client.post(reverse("queue-pause", args=["default"]))
    assert Queue.objects.get(name="default").paused
    assert scene.claim() is None
    assert "This queue hands out no run." in client.get(reverse("queue")).content.decode()
    client.post(reverse("queue-resume", args=["default"]))
    assert scene.claim() is not None


def test_an_unknown_queue_is_a_404(team: Team) -> None:
    assert team.client("admin").post(reverse("queue-pause", args=["nope"])).status_code == 404


def test_runs_of_others_keep_their_place_but_not_their_name(team: Team, three: list[Run]) -> None:
    elsewhere = accounts.create_project(team.people["stranger"], "Secret study")
    hidden = scene.submit(elsewhere, user=team.people["stranger"], name="secret run", priority=5)
    page = team.client("editor").get(reverse("queue")).content.decode()
    assert shown(team.client("editor"))[0] == hidden.pk
    assert "a run of another project" in page
    assert "secret run" not in page
    assert "Secret study" not in page
    assert move(team.client("editor"), hidden, 4).status_code == 404


def test_running_runs_of_others_are_only_counted(team: Team) -> None:
    elsewhere = accounts.create_project(team.people["stranger"], "Secret study")
    scene.running(where=elsewhere, user=team.people["stranger"], name="secret run")
    page = team.client("editor").get(reverse("queue")).content.decode()
    assert "1 more in projects of others" in page
    assert "secret run" not in page


def test_a_viewer_sees_no_arrows(team: Team, three: list[Run]) -> None:
    assert b"Move up" not in team.client("viewer").get(reverse("queue")).content
    assert team.client("editor").get(reverse("queue")).content.count(b'title="Move up"') == 2
