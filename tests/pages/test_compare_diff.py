"""The page that holds runs side by side."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from tests.pages.team import ROLES, Team
from tests.pages.test_compare import words
from tests.pages.test_markup import check
from tests.runs import scene
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db
PAGE = reverse("compare-diff")


@pytest.fixture
def runs(team: Team) -> list[Run]:
    made = [
        scene.submit(team.project, user=team.people["editor"], name=name, changes={"steps": steps})
        for name, steps in (("one", 100), ("two", 200), ("three", 100))
    ]
    Run.objects.filter(pk=made[2].pk).update(spec={**made[2].spec, "only here": {"k": [1, 2]}})
    for run, value in zip(made, (2.0, 1.0, 4.0), strict=True):
        store.append(run.pk, {"eval/loss": Points.of([0, 1], [8.0, value], [1.0, 2.0])})
    return made


def numbers(runs: list[Run]) -> str:
    return ",".join(str(run.pk) for run in runs)


def test_what_differs_is_on_top_and_the_rest_is_folded(team: Team, runs: list[Run]) -> None:
    answer = team.client("viewer").get(f"{PAGE}?runs={numbers(runs)}")
    check(PAGE, answer)
    page = answer.content.decode()
    differing, _, folded = page.partition('class="diff-same"')
    assert "steps 100 200 100" in words(differing)
    assert "&quot;only here&quot;.k missing missing [1, 2]" in words(differing).replace('"', "&quot;")
    assert "kind pretrain" in words(folded) and "kind pretrain" not in words(differing)


def test_metrics_stand_against_the_baseline_with_the_best_marked(team: Team, runs: list[Run]) -> None:
    page = team.client("viewer").get(f"{PAGE}?runs={numbers(runs)}&value=last").content.decode()
    assert "eval/loss last 2 1 -1 (-50 %) 4 +2 (+100 %)" in words(page)
    assert re.findall(r'class="n best">([^<]*)', page) == ["1"]
    other = team.client("viewer").get(f"{PAGE}?runs={numbers(runs)}&value=last&baseline={runs[1].pk}")
    assert "eval/loss last 2 +1 (+100 %) 1 4 +3 (+300 %)" in words(other.content.decode())


def test_the_compare_page_leads_here_and_a_query_chooses_too(team: Team, runs: list[Run]) -> None:
    client = team.client("viewer")
    page = client.get(reverse("compare") + f"?runs={numbers(runs)}").content.decode()
    link = re.search(rf'href="({PAGE}\?[^"]*)"', page)
    assert link and client.get(link[1].replace("&amp;", "&")).status_code == 200
    found = client.get(f"{PAGE}?project={team.project.slug}&q=t").content.decode()
    assert "two" in found and "three" in found and ">one<" not in found


@pytest.mark.parametrize("role", ROLES)
def test_only_members_see_runs_side_by_side(team: Team, runs: list[Run], role: str) -> None:
    answer = team.client(role).get(f"{PAGE}?runs={numbers(runs)}")
    if role == "anonymous":
        assert answer.status_code == 302
    else:
        assert answer.status_code == 200
        assert (b"steps" in answer.content) == (role != "stranger")


@pytest.mark.parametrize("query", ["?runs=x", "?value=median", "?baseline=0", "?q=status+%3D", "?status=none"])
def test_an_address_that_can_not_be_says_so(team: Team, query: str) -> None:
    answer = team.client("viewer").get(PAGE + query)
    assert answer.status_code == 422 and 'role="alert"' in answer.content.decode()


def test_a_large_share_is_written_out_until_it_says_nothing() -> None:
    from webapp.pages.compare.diff import _percent

    told = [_percent(value) for value in (0.154, -12.4, 99.4, 1612.3, -250.0, 2.5e9)]
    assert told == ["+0.15", "-12", "+99", "+1,612", "-250", "+2.5e9"]
