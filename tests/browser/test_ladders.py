"""A ladder made in a real browser: typing brings the plan up to date, one button queues what it shows."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.browser.conftest import Open
from tests.pages.team import Team
from webapp.scaling.models import Ladder

pytestmark = pytest.mark.browser


def test_the_plan_follows_what_is_typed_and_its_button_queues_it(opened: Open, team: Team) -> None:
    page = opened(reverse("ladder-new", args=[team.project.slug]))
    page.wait_for_selector("#ladder-planned tbody tr:nth-child(12)")
    page.fill('[name="ladder.seeds"]', "2")
    page.wait_for_selector("#ladder-planned tbody tr:nth-child(24)")
    page.fill('[name="ladder.target_flops"]', "1")
    page.wait_for_selector(".plan-errors >> text=too small")
    page.fill('[name="ladder.target_flops"]', "1e13")
    page.get_by_role("button", name="Queue 24 runs").click()
    page.wait_for_selector("#ladder >> text=0 of 24")
    assert Ladder.objects.get().rungs.count() == 24
