"""Above the table of runs: saved views and their links, groups, and the file of what is shown."""

from __future__ import annotations

import csv
import io
import re
from html import unescape
from urllib.parse import urlencode

import pyarrow.parquet as parquet
import pytest
from django.urls import reverse

from tests.pages.team import Team
from tests.pages.test_compare import words
from tests.pages.test_markup import check
from tests.runs import scene
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs.models import Run, SavedView
from webapp.runs.saved_views import Shown, save

pytestmark = pytest.mark.django_db


@pytest.fixture
def runs(team: Team) -> list[Run]:
    made = [
        scene.submit(team.project, user=team.people["editor"], name=name, changes={"seed": seed}, tags=["night"])
        for name, seed in (("alpha", 0), ("beta", 0), ("gamma", 1))
    ]
    for run, value in zip(made, (1.0, 3.0, 5.0), strict=True):
        store.append(run.pk, {"eval/loss": Points.of([0], [value], [1.0])})
    return made


def address(team: Team, name: str = "runs", *args: object) -> str:
    return reverse(name, args=[team.project.slug, *args])


def read(team: Team, query: str = "", role: str = "viewer") -> str:
    answer = team.client(role).get(address(team) + query, follow=True)
    check(query, answer)
    return answer.content.decode()


def body(answer: object) -> bytes:
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def link(page: str, text: str) -> str:
    found = re.search(rf'<a[^>]*href="([^"]*)"[^>]*>{re.escape(text)}</a>', page)
    assert found, text
    return unescape(found[1])


def test_the_file_is_what_the_page_shows_in_its_order(team: Team, runs: list[Run]) -> None:
    client = team.client("viewer")
    page = read(team, "?sort=-eval/loss&columns=eval/loss,params.seed,status&q=tags+%3D+'night'")
    rows = list(csv.DictReader(io.StringIO(body(client.get(link(page, "CSV"))).decode())))
    assert [(row["name"], row["eval/loss"], row["params.seed"]) for row in rows] == [
        ("gamma", "5.0", "1"), ("beta", "3.0", "0"), ("alpha", "1.0", "0"),
    ]  # fmt: skip
    answer = client.get(link(page, "Parquet"))
    assert answer["Content-Disposition"] == f'attachment; filename="{team.project.slug}-runs.parquet"'
    found = parquet.read_table(io.BytesIO(body(answer)))
    assert found.column_names == ["id", "name", "eval/loss", "params.seed", "status"]
    assert found.column("params.seed").to_pylist() == [1.0, 0.0, 0.0]


def test_a_file_of_a_wrong_query_leads_back_to_the_table(team: Team, runs: list[Run]) -> None:
    answer = team.client("viewer").get(address(team, "run-export") + "?q=status+%3D")
    assert answer["Location"].startswith(f"{address(team)}?q=status+%3D&")


def test_groups_have_their_statistics_and_each_leads_to_its_runs(team: Team, runs: list[Run]) -> None:
    page = read(team, "?group=params.seed&columns=eval/loss,status&group_sort=key")
    assert "0 2 Curves 2 1.414 1 3" in words(page)
    assert "1 1 Curves 5 5 5" in words(page)
    members = read(team, link(page, "0"))
    assert re.findall(r'class="open"[^>]*>([^<]*)</a>', members) == ["beta", "alpha"]
    assert 'value="params.seed = 0"' in members


def test_groups_stay_within_the_filter_also_of_words(team: Team, runs: list[Run]) -> None:
    page = read(team, "?group=status&q=beta&columns=eval/loss")
    assert "queued 1 Curves 3 3 3" in words(page)
    members = read(team, link(page, "queued"))
    assert re.findall(r'class="open"[^>]*>([^<]*)</a>', members) == ["beta"]


def test_the_curves_of_groups_are_a_mean_with_its_band(team: Team, runs: list[Run]) -> None:
    page = read(team, "?group=params.seed&columns=eval/loss")
    href = re.search(r'class="button quiet" href="(/compare/curves/[^"]*)"', page)
    assert href
    answer = team.client("viewer").get(unescape(href[1]))
    assert answer.status_code == 200
    assert "band=std" in href[1] and "group=seed" in href[1]


@pytest.mark.parametrize(("group", "asked"), [("tag", "tag"), ("user", "user"), ("status", "status")])
def test_groups_of_what_no_spec_has_have_their_curves_too(team: Team, runs: list[Run], group: str, asked: str) -> None:
    page = read(team, f"?group={group}&columns=eval/loss")
    href = re.search(r'class="button quiet" href="(/compare/curves/[^"]*)"', page)
    assert href and f"group={asked}" in href[1]
    answer = team.client("viewer").get(unescape(href[1]))
    expected = {"tag": "night", "user": runs[0].created_by.username, "status": "queued"}[group]
    assert [(entry.label, len(entry.runs)) for entry in answer.context["legend"]] == [(expected, 3)]


def test_choosing_columns_keeps_the_groups(team: Team, runs: list[Run]) -> None:
    page = read(team, "?group=params.seed&columns=eval/loss,status&group_sort=-mean:eval/loss&q=night")
    form = team.client("viewer").get(link(page, "Columns")).content.decode()
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form))
    hidden.pop("csrfmiddlewaretoken", None)  # of the menu that signs out
    assert hidden == {"q": "night", "group": "params.seed", "group_sort": "-mean:eval/loss"}
    assert "group=params.seed" in link(form, "Back")
    chosen = read(team, "?" + urlencode([*hidden.items(), ("column", "tags"), ("column", "eval/loss")]))
    assert "1 1 Curves 5 5 5" in words(chosen) and 'aria-sort="descending"' in chosen
    without = read(team, "?" + urlencode([*hidden.items(), ("column", "metrics.eval/loss.min")]))
    assert "0 2 Curves" in words(without)  # an order by what is not shown any more is none


@pytest.mark.parametrize(
    "query", ["?group=metrics.x", "?group=a,b,c,d", "?group=status&group_sort=mean:none", "?group=status&q=status+%3D"]
)
def test_what_can_not_be_grouped_says_why(team: Team, runs: list[Run], query: str) -> None:
    answer = team.client("viewer").get(address(team) + query)
    assert answer.status_code == 422
    assert re.search(r'id="filter-error"[^>]*>(<span>)?[^<]*(must be|expected)', answer.content.decode())


def test_a_view_is_saved_and_its_link_shows_the_same(team: Team, runs: list[Run]) -> None:
    query = "?q=status+%3D+'queued'&sort=name&columns=params.seed,eval/loss&group=params.seed&group_sort=key"
    page = read(team, query, "editor")
    shown = unescape(re.search(r'name="shown" value="([^"]*)"', page)[1])  # type: ignore[index]
    team.client("editor").post(address(team, "run-view-save"), {"name": "mine", "shown": shown})
    view = SavedView.objects.get()
    told = {"q": "status = 'queued'", "sort": "name", "group": "params.seed", "group_sort": "key"}
    assert Shown.of_view(view) == Shown(**told, columns=("params.seed", "eval/loss"))
    answer = team.client("viewer").get(address(team, "run-view", view.pk), follow=True)
    assert "0 2 Curves 2 1.414 1 3" in words(answer.content.decode())
    assert re.search(r'<summary class="button quiet">mine</summary>', answer.content.decode())


def test_the_default_view_is_what_the_bare_address_shows(team: Team, runs: list[Run]) -> None:
    save(team.project, team.people["editor"], "gammas", Shown(q="gamma"), is_default=True)
    names = re.compile(r'class="open"[^>]*>([^<]*)</a>')
    assert names.findall(read(team)) == ["gamma"]
    assert names.findall(read(team, "?view=")) == names.findall(read(team, "?q=")) == ["gamma", "beta", "alpha"]
    fragment = team.client("viewer").get(address(team), headers={"HX-Request": "true"})
    assert fragment.status_code == 200


def test_a_view_that_shows_everything_leads_nowhere_else(team: Team, runs: list[Run]) -> None:
    view = save(team.project, team.people["editor"], "all", Shown(), is_default=True)
    assert "alpha" in read(team) and "alpha" in read(team, f"?view={view.pk}")


def test_editors_rename_and_delete_and_viewers_see_only(team: Team, runs: list[Run]) -> None:
    view = save(team.project, team.people["editor"], "mine", Shown(q="beta"))
    client, where = team.client("editor"), address(team, "run-views")
    client.post(address(team, "run-view-change", view.pk), {"name": "ours", "is_default": "on"})
    view.refresh_from_db()
    assert (view.name, view.is_default) == ("ours", True)
    assert b"Delete ours" in client.get(where).content
    seen = team.client("viewer").get(where)
    check(where, seen)
    assert b"ours" in seen.content and b"Delete" not in seen.content
    client.post(address(team, "run-view-delete", view.pk))
    assert not SavedView.objects.exists()


def test_a_view_of_another_project_is_not_at_this_address(team: Team) -> None:
    view = save(scene.project("Other"), scene.person(), "theirs", Shown())
    client = team.client("owner")
    assert client.get(address(team, "run-view", view.pk)).status_code == 404
    assert client.post(address(team, "run-view-delete", view.pk)).status_code == 404
    assert client.get(address(team, "run-view", 2**70)).status_code == 404


def test_a_view_that_can_not_be_saved_leaves_what_was_shown(team: Team) -> None:
    answer = team.client("editor").post(address(team, "run-view-save"), {"name": "", "shown": "q=x"})
    assert answer["Location"] == f"{address(team)}?q=x"
    assert not SavedView.objects.exists()
