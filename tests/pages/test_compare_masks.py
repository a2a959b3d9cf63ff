"""The page of mask overlap: its numbers, how one gets there, and that it shows only runs that one may see."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.pages.team import ROLES, Team
from tests.pages.test_compare import words
from tests.pages.test_markup import check
from tests.sweeps.comparison import masks as scene
from webapp.charts import masks as charts
from webapp.runs.models import Run
from webapp.sweeps.comparison.masks import Kept, Layer, Overlap, Pair

pytestmark = pytest.mark.django_db
PAGE = reverse("compare-masks")


@pytest.fixture
def runs(team: Team) -> list[Run]:
    return [scene.pruned(team.project, team.people["editor"], {"a": kept}) for kept in scene.HALVES]


def query(runs: list[Run]) -> str:
    return f"?runs={','.join(str(run.pk) for run in runs)}"


def test_it_tells_the_overlap_whole_and_by_layer_without_javascript(team: Team, runs: list[Run]) -> None:
    answer = team.client("viewer").get(PAGE + query(runs))
    check(PAGE, answer)
    text = words(answer.content.decode())
    assert "0.250 0.333 10" in text
    assert f"{runs[0].pk} and {runs[1].pk}" in text


def test_the_compare_page_leads_here_where_two_runs_have_masks(team: Team, runs: list[Run]) -> None:
    client = team.client("viewer")
    both = client.get(reverse("compare") + query(runs)).content.decode()
    newest_first = f"{PAGE}?runs={runs[1].pk},{runs[0].pk}"
    assert f'href="{newest_first}"' in both
    assert client.get(newest_first).status_code == 200
    assert PAGE not in client.get(reverse("compare") + query(runs[:1])).content.decode()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", ["compare-masks", "compare-masks-figure"])
def test_masks_are_shown_to_members_alone(team: Team, runs: list[Run], name: str, role: str) -> None:
    address = reverse(name, args=["whole"] if name.endswith("figure") else [])
    expected = {"anonymous": 302, "stranger": 404}.get(role, 200)
    assert team.client(role).get(address + query(runs)).status_code == expected


def test_the_figures_hold_the_same_numbers(team: Team, runs: list[Run]) -> None:
    client = team.client("viewer")
    whole = client.get(reverse("compare-masks-figure", args=["whole"]) + query(runs)).json()["data"][0]
    assert whole["z"] == [[1.0, 0.25], [0.25, 1.0]]
    layers = client.get(reverse("compare-masks-figure", args=["layers"]) + query(runs)).json()["data"][0]
    assert (layers["y"], layers["z"]) == (["a"], [[0.25]])
    assert client.get(reverse("compare-masks-figure", args=["luck"]) + query(runs)).status_code == 404


def test_what_can_not_be_compared_is_said(team: Team, runs: list[Run]) -> None:
    client = team.client("viewer")
    one = client.get(PAGE + query(runs[:1]))
    assert one.status_code == 422 and "Name two to 12 different runs, not 1." in one.content.decode()
    check(PAGE, one)
    assert client.get(f"{PAGE}?runs=987654").status_code == 404
    empty = client.get(PAGE)
    check(PAGE, empty)
    assert "No runs are chosen" in empty.content.decode()


def test_layers_of_many_pairs_are_left_to_the_api() -> None:
    kept = [Kept(run=number, weights=1, share=1.0) for number in range(7)]
    pairs = [Pair(one=a, other=b, overlap=1.0, chance=1.0, weights=1, layers=[Layer(name="a", weights=1, overlap=1.0)])
             for a in range(7) for b in range(a + 1, 7)]  # fmt: skip
    assert charts.layers(Overlap(runs=kept, pairs=pairs)).columns == []
    assert len(charts.layers(Overlap(runs=kept[:2], pairs=pairs[:1])).columns) == 1
