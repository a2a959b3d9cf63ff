"""The run page: its facts, its notes, its tabs, its buttons."""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path

import pytest
from django.urls import reverse

from tests.pages.team import Team
from tests.pages.test_markup import check
from tests.runs import scene
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs import actions
from webapp.runs.models import Attempt, Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db
TABS = ("run", "run-log", "run-config", "run-artifacts", "run-attempts", "run-provenance")


@pytest.fixture
def attempt(team: Team) -> Attempt:
    return scene.running(where=team.project, user=team.people["editor"], name="watched")


def html(team: Team, run: Run, name: str = "run", role: str = "editor") -> str:
    answer = team.client(role).get(reverse(name, args=[team.project.slug, run.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def measure(run: Run, name: str, *values: float) -> None:
    store.append(run.pk, {name: Points.of(range(len(values)), values, [time.time()] * len(values))})


def test_every_tab_is_clean_markup_in_every_state(team: Team, attempt: Attempt, tmp_path: Path) -> None:
    measure(attempt.run, "train/loss", 2.0, 1.0)
    scene.checkpoint(attempt, 10, tmp_path)
    actions.logged(attempt, [actions.LogEntry(time.time(), "info", "<script>alert(1)</script>")])
    for ending in (None, Status.FAILED):
        if ending:
            actions.finish(attempt, ending, error_type="DataError", error_message="Line 3 has no text.")
        for name in TABS:
            for role in ("viewer", "editor"):
                address = reverse(name, args=[team.project.slug, attempt.run_id])
                check(address, team.client(role).get(address))


def test_facts_compare_with_the_baseline(team: Team, attempt: Attempt) -> None:
    base = scene.submit(team.project, user=team.people["editor"], name="base")
    measure(base, "eval/loss", 3.0, 2.0)
    measure(attempt.run, "eval/loss", 4.0, 2.5)
    actions.update(attempt.run, baseline=base)
    assert "eval/loss 2.5 +0.5 · +25.0 % of baseline" in text(html(team, attempt.run))


def test_facts_of_a_run_that_has_ended(team: Team, attempt: Attempt) -> None:
    result = {"memory": {"peak_bytes": 2**30}, "speed": {"samples_per_second": 250.0}, "flops": 3.1e15}
    actions.finish(attempt, Status.SUCCEEDED, result=result)
    page = text(html(team, attempt.run))
    for fact in ("Peak memory 1.0 GiB", "Speed 250 samples/s", "Compute 3.1e15 FLOPs", "Trainable 100 % 10 of 10"):
        assert fact in page


def test_the_time_that_is_left_follows_the_pace_of_the_present_attempt(team: Team, attempt: Attempt) -> None:
    """25 of 100 steps in 30 s leave 90 s; a resumed attempt is not credited with its predecessor's steps."""
    from datetime import timedelta

    from django.utils import timezone

    from webapp.pages.runs.describe import remaining_s

    now = timezone.now()
    Attempt.objects.filter(pk=attempt.pk).update(started_at=now - timedelta(seconds=30))
    Run.objects.filter(pk=attempt.run_id).update(step=25)
    assert remaining_s(Run.objects.get(pk=attempt.run_id), now) == pytest.approx(90)
    Attempt.objects.filter(pk=attempt.pk).update(resumed_from_step=20)
    assert remaining_s(Run.objects.get(pk=attempt.run_id), now) == pytest.approx(30 / 5 * 75)


def test_a_failure_says_what_to_change(team: Team, attempt: Attempt) -> None:
    actions.finish(attempt, Status.OUT_OF_MEMORY, error_type="OutOfMemory", error_message="Halve batch_size to 8.")
    assert "Out of memory Halve batch_size to 8." in text(html(team, attempt.run))


def test_a_resumed_run_says_from_where(team: Team, attempt: Attempt, tmp_path: Path) -> None:
    actions.progressed(attempt, 12)
    scene.checkpoint(attempt, 10, tmp_path)
    actions.finish(attempt, Status.LOST, error_message="Its worker fell silent.")
    again = scene.claim()
    assert again is not None
    actions.started(again, {}, {}, 10, 100)
    page = text(html(team, attempt.run))
    assert "Attempt 1 was lost with its worker at step 12; attempt 2 went on from the checkpoint at step 10." in page
    rows = text(html(team, attempt.run, "run-attempts"))
    assert "Its worker fell silent." in rows


def test_a_run_that_waits_says_for_what(team: Team) -> None:
    base = scene.submit(team.project, user=team.people["editor"], name="base")
    run = scene.submit(team.project, user=team.people["editor"], spec=scene.finetune_of(base))
    assert f"It starts from the model of run {base.pk}, base, which has not ended." in text(html(team, run))
    actions.pause_queue(base.queue_id)
    assert "The queue default is paused" in text(html(team, base))


@pytest.mark.parametrize(
    ("status", "buttons"),
    [
        (Status.QUEUED, {"Pause", "Cancel"}),
        (Status.RUNNING, {"Pause", "Cancel"}),
        (Status.PAUSING, {"Cancel"}),
        (Status.CANCELLING, set()),
        (Status.PAUSED, {"Resume", "Cancel"}),
        (Status.FAILED, {"Requeue"}),
        (Status.SUCCEEDED, set()),
    ],
)
def test_the_buttons_are_those_that_the_state_allows(
    team: Team, attempt: Attempt, status: Status, buttons: set[str]
) -> None:
    Run.objects.filter(pk=attempt.run_id).update(status=status)
    page = html(team, attempt.run, "run-head")
    forms = re.findall(r"<form.*?</form>", page, re.S)
    assert {text(form) for form in forms} == buttons


def test_pressing_the_buttons(team: Team, attempt: Attempt) -> None:
    client, slug = team.client("editor"), team.project.slug
    for name, status in (("run-pause", "pausing"), ("run-cancel", "cancelling")):
        client.post(reverse(name, args=[slug, attempt.run_id]))
        attempt.run.refresh_from_db()
        assert attempt.run.status == status
    answer = client.post(reverse("run-resume", args=[slug, attempt.run_id]), follow=True)
    assert "t be resumed" in answer.content.decode()


def test_the_config_is_in_the_order_of_the_schema_and_complete(team: Team, attempt: Attempt) -> None:
    page = html(team, attempt.run, "run-config")
    code = re.search(r"<pre[^>]*><code>(.*?)</code>", page, re.S)
    assert code
    spec = json.loads(code[1].replace("&quot;", '"'))
    attempt.run.refresh_from_db()
    assert spec == attempt.run.spec
    assert list(spec)[:3] == ["kind", "model", "data"]
    assert next(iter(spec["optimizer"])) == "name"


def test_artifacts_are_listed_by_folder_with_links_to_the_api(team: Team, attempt: Attempt, tmp_path: Path) -> None:
    scene.checkpoint(attempt, 10, tmp_path)
    scene.model(attempt, tmp_path)
    page = html(team, attempt.run, "run-artifacts")
    links = re.findall(r'href="(/api/v1/runs/[^"]*)"', page)
    assert links[0].endswith("/artifacts/model")
    assert any(link.endswith("/artifacts/checkpoints/step-10/model.safetensors") for link in links)
    for link in links:
        assert team.client("viewer").get(link).status_code == 200


def test_the_log_is_shown_in_pieces(team: Team, attempt: Attempt) -> None:
    entries = [actions.LogEntry(time.time(), "info", f"line {number}.") for number in range(1005)]
    actions.logged(attempt, entries)
    page = html(team, attempt.run, "run-log")
    assert "line 1004." in page and "line 4." not in page
    earlier = re.search(r'href="(\?before=\d+)"', page)
    assert earlier
    answer = team.client("viewer").get(reverse("run-log", args=[team.project.slug, attempt.run_id]) + earlier[1])
    assert "line 4." in answer.content.decode()


def test_figures_are_plotly_json_with_the_names_of_colours(team: Team, attempt: Attempt) -> None:
    actions.finish(attempt, Status.SUCCEEDED, result={"memory": {"peak_bytes": 2**30}})
    for name in ("memory", "phases"):
        answer = team.client("viewer").get(reverse("run-figure", args=[team.project.slug, attempt.run_id, name]))
        assert set(answer.json()) == {"data", "layout"}
    assert team.client("viewer").get(
        reverse("run-figure", args=[team.project.slug, attempt.run_id, "no"])
    ).status_code == 404  # fmt: skip


def test_editing_a_run(team: Team, attempt: Attempt) -> None:
    client, address = team.client("editor"), reverse("run-edit", args=[team.project.slug, attempt.run_id])
    good = {"name": "renamed", "tags": "b, a", "priority": "5", "queue": "default", "baseline": ""}
    assert client.post(address, good).status_code == 302
    attempt.run.refresh_from_db()
    assert (attempt.run.name, attempt.run.tags, attempt.run.priority) == ("renamed", ["a", "b"], 5)
    bad = client.post(address, {**good, "queue": "No Queue", "baseline": "999"})
    assert bad.status_code == 422
    assert "queue must have" in bad.content.decode() and "baseline must be a run of" in bad.content.decode()
    check("edit", bad)


def test_an_external_run_has_no_buttons_that_need_its_code(team: Team) -> None:
    run = actions.create_external(project=team.project, user=team.people["editor"], name="mine")
    page = html(team, run, "run-head")
    assert "Pause" not in page and "Clone" not in page and "Cancel" in page
    for name in TABS:
        html(team, run, name)


def test_a_run_of_many_metrics_has_a_page_that_is_not_larger(team: Team, attempt: Attempt) -> None:
    """Beyond the 200 rows of the table for readers without scripts nothing grows, nor does the number of queries."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    sizes = []
    one = Points.of([1], [1.0], [1.0])
    for count in (300, 3000):
        store.append(attempt.run_id, {f"layer/{number}/weight": one for number in range(count)})
        with CaptureQueriesContext(connection) as queries:
            sizes.append((len(html(team, attempt.run)), len(queries)))
    assert abs(sizes[1][0] - sizes[0][0]) < 1000  # longer names and numbers
    assert sizes[1][1] == sizes[0][1]


def test_the_panels_of_a_group_are_read_level_by_level(team: Team, attempt: Attempt) -> None:
    one = Points.of([1], [1.0], [1.0])
    store.append(attempt.run_id, {f"layer/{n % 9}/w{n:03}": one for n in range(300)} | {"layer/own": one})
    client = team.client("viewer")
    address = reverse("run-panels", args=[team.project.slug, attempt.run_id])
    level = client.get(address, {"under": "layer"})
    check(address, level)
    assert re.findall('data-group="([^"]*)"', level.content.decode()) == [f"layer/{n}" for n in range(9)]
    assert re.findall('data-metric="([^"]*)"', level.content.decode()) == ["layer/own"]
    found = client.get(address, {"q": "LAYER W00"}).content.decode()
    assert len(re.findall("data-metric", found)) == 10
    assert "10 metrics with LAYER W00" in text(found)


def test_the_facts_of_a_run_from_outside_are_what_it_logs(team: Team) -> None:
    run = actions.create_external(project=team.project, user=team.people["editor"], name="outside")
    assert "Log of" not in html(team, run)  # it has none
    for number in range(6):
        measure(run, f"mine/{number}", 1.0, 3.0 + number, 2.0)
    measure(run, "eval/loss", 4.0, 0.5)
    measure(run, "mine/0/nan", math.nan)
    page = text(html(team, run))
    assert "eval/loss 0.5 0.5 to 4 mine/0 2 1 to 3 mine/0/nan NaN mine/1 2 1 to 4 mine/2 2 1 to 5 So far" in page
    assert "Peak memory" not in page and "Trainable" not in page


def test_a_run_from_outside_is_held_against_its_baseline(team: Team) -> None:
    base, run = (
        actions.create_external(project=team.project, user=team.people["editor"], name=name) for name in ("base", "run")
    )
    measure(base, "mine/score", 2.0)
    measure(run, "mine/score", 2.5)
    actions.update(run, baseline=base)
    assert "mine/score 2.5 +0.5 · +25.0 % of baseline" in text(html(team, run))
