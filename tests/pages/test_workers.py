from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from tests.pages.team import Team
from tests.runs import scene
from webapp.pages import frame
from webapp.runs.models import Run, Worker

pytestmark = pytest.mark.django_db


def page(team: Team, role: str = "viewer") -> str:
    return team.client(role).get(reverse("workers")).content.decode()


def silence(worker: Worker) -> None:
    Worker.objects.filter(pk=worker.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=settings.SILENT_S + 5))


def test_without_workers_the_page_says_how_to_start_one(team: Team) -> None:
    assert "hone worker" in page(team)
    assert frame.counts().capacity == (0, 0)


def test_a_worker_shows_what_it_runs(team: Team) -> None:
    scene.running(where=team.project, user=team.people["owner"], name="lora r16")
    html = page(team)
    assert "lora r16" in html
    assert "1 of 1" in html
    assert 'class="status online"' in html


def test_it_does_not_name_the_runs_of_others(team: Team) -> None:
    scene.running(where=team.project, user=team.people["owner"], name="lora r16")
    html = page(team, "stranger")
    assert "lora r16" not in html
    assert "1 in projects of others" in html


def test_a_silent_worker_is_marked_and_its_slots_do_not_count(team: Team) -> None:
    silence(scene.worker("gone", slots=4))
    scene.worker("here", slots=2)
    html = page(team)
    assert 'class="status silent"' in html
    assert frame.counts().capacity == (0, 2)
    assert "0 of 2 slots busy" in html


def test_a_worker_that_signed_off_is_not_shown(team: Team) -> None:
    worker = scene.worker("left")
    Worker.objects.filter(pk=worker.pk).update(stopped_at=timezone.now())
    assert "No worker yet" in page(team)


def test_draining_takes_nothing_new_until_it_is_undone(team: Team) -> None:
    worker = scene.worker("w")
    run: Run = scene.submit(team.project, user=team.people["owner"])
    client = team.client("admin")
    client.post(reverse("worker-drain", args=[worker.pk]))
    worker.refresh_from_db()
    assert worker.draining
    assert scene.claim(worker) is None
    assert 'class="status draining"' in page(team)
    client.post(reverse("worker-undrain", args=[worker.pk]))
    worker.refresh_from_db()
    attempt = scene.claim(worker)
    assert attempt is not None
    assert attempt.run_id == run.pk


def test_only_admins_see_the_drain_button(team: Team) -> None:
    scene.worker("w")
    assert "Drain" not in page(team, "owner")
    assert "Drain" in page(team, "admin")


@pytest.mark.parametrize(
    ("busy", "total", "marks"), [(3, 4, "###-"), (0, 2, "--"), (2, 2, "##"), (12, 24, "######------")]
)
def test_the_bar_draws_a_mark_a_slot_up_to_a_dozen(busy: int, total: int, marks: str) -> None:
    assert "".join("#" if on else "-" for on in frame.Capacity(busy, total).marks) == marks


def test_a_run_from_outside_takes_no_slot(team: Team) -> None:
    from webapp.runs import actions

    scene.worker("here", slots=2)
    actions.create_external(project=team.project, user=team.people["owner"], name="elsewhere")
    assert frame.counts().capacity == (0, 2)
