"""The form of a protocol and the page of its study, in a real browser under the real policy."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.browser.conftest import Open
from tests.pages.team import Team
from tests.pages.test_shrunk import RESULT
from tests.runs import scene
from tests.sweeps import scene as sweeps
from webapp.runs import actions
from webapp.runs.states import Status
from webapp.sweeps import registry, studies

pytestmark = pytest.mark.browser


def test_the_plan_follows_what_is_typed(opened: Open, team: Team) -> None:
    page = opened(reverse("protocol", args=[team.project.slug, "lr_sensitivity"]))
    page.wait_for_selector(".protocol-planned li")
    page.fill('[name="knobs.sizes"]', "1x16, 1x32, 1x64")
    page.wait_for_selector(".protocol-planned li:nth-child(3)")
    page.fill('[name="knobs.points"]', "1")
    page.wait_for_selector(".plan-errors >> text=greater than or equal to 2")


def test_a_study_draws_its_chart(opened: Open, team: Team) -> None:
    entry = registry.entries("protocols")["eval_variance"]
    knobs = studies.knobs_of(entry, {"seeds": 3})
    study = studies.start(entry=entry, project=team.project, user=None, knobs=knobs, spec=scene.SPEC)
    for _ in range(3):
        for place, run in enumerate(sweeps.waiting(sweeps.advanced(study.sweeps[0]))):
            sweeps.train(run, 2.0 + 0.1 * place)
    page = opened(reverse("protocol-study", args=[team.project.slug, study.group]), role="viewer")
    page.wait_for_selector("#chart-seed_spread .main-svg")
    page.get_by_text("bootstrap interval").wait_for()
    assert page.locator("#study-tables table").count() == 2


def test_a_run_that_was_made_smaller_draws_its_layers(opened: Open, team: Team) -> None:
    attempt = scene.running(where=team.project, user=team.people["editor"])
    actions.finish(attempt, Status.SUCCEEDED, result=RESULT)
    page = opened(reverse("run", args=[team.project.slug, attempt.run_id]), role="viewer")
    page.wait_for_selector(".layers-panel .main-svg")
    assert page.locator(".layers-panel .bars .point").count() == 2
    page.get_by_text("As a table").click()
    page.get_by_role("row", name="model.layers.1.self_attn.q_proj").wait_for()
