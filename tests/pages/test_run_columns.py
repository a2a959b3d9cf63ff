"""The choice of the runs table's columns: what it offers, how it finds, and that the order stands in the address."""

from __future__ import annotations

import html as html_module
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.urls import reverse

from tests.pages.team import Team
from tests.pages.test_run_table import measure, submit
from tests.runs import scene
from webapp.pages.runs.choosing import metric_column, moved
from webapp.pages.runs.columns import ALIASES, COLUMNS, column
from webapp.pages.runs.query import Query
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


def page(team: Team, role: str = "viewer", part: str = "", **fields: object) -> str:
    address = f"{reverse('runs-columns', args=[team.project.slug])}?{urlencode(fields, doseq=True)}"
    headers = {"HX-Request": "true", "HX-Target": part} if part else None
    answer = team.client(role).get(address, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def values(text: str, is_checked: bool) -> list[str]:
    """Of the boxes that are ticked, or not."""
    boxes = re.findall(r'<input type="checkbox"([^>]*)>', text)
    named = [(re.search(r'value="([^"]*)"', box), "checked" in box) for box in boxes if 'name="column"' in box]
    return [html_module.unescape(value[1]) for value, ticked in named if value and ticked is is_checked]


def test_what_is_shown_stands_in_order_and_is_not_offered_again(team: Team) -> None:
    measure(submit(team, "run"), "eval/loss", 1.0)
    text = page(team, columns="tags,eval/loss,kind")
    assert values(text, True) == ["tags", "eval/loss", "kind"]
    offered = values(text, False)
    assert not {"tags", "eval/loss", "kind"} & set(offered)
    assert {"metrics.eval/loss.min", "metrics.eval/loss.max", "metrics.eval/loss.mean", "params.optimizer.lr", "by",
            "time", "model"} <= set(offered)  # fmt: skip


@pytest.mark.parametrize("name", [*COLUMNS, *ALIASES, "name", "id", "metrics.", "params.", "params.a..b", 'metrics."a'])
def test_whatever_columns_are_asked_for_the_table_is_there(team: Team, name: str) -> None:
    submit(team, "a run")
    address = reverse("runs", args=[team.project.slug])
    client = team.client("viewer")
    for query in ({"columns": name}, {"columns": name, "sort": name}, {"columns": f"{name},status"}, {}):
        answer = client.get(address, query)
        assert answer.status_code == 200
        assert "a run" in answer.content.decode()


def test_facts_are_offered_shown_and_sorted_by(team: Team) -> None:
    for name, layers in (("deep", 12), ("flat", 2)):
        Run.objects.filter(pk=submit(team, name).pk).update(facts={"model": {"layers": layers}})
    assert "facts.model.layers" in values(page(team), False)
    address = reverse("runs", args=[team.project.slug]) + "?columns=facts.model.layers&sort=facts.model.layers"
    text = team.client("viewer").get(address).content.decode()
    assert re.findall(r"<td[^>]*>([^<]*)</td>", text) == ["2", "12"]
    text = team.client("viewer").get(address + "&q=facts.model.layers+>+3").content.decode()
    assert re.findall(r"<td[^>]*>([^<]*)</td>", text) == ["12"]


def test_all_words_must_be_in_it(team: Team) -> None:
    run = submit(team, "run")
    measure(run, "eval/loss", 1.0)
    measure(run, "train/loss", 1.0)
    assert values(page(team, part="columns-found", columns="kind", find="train loss mean"), False) == [
        "metrics.train/loss.mean"
    ]
    assert values(page(team, part="columns-found", columns="kind", find="optimizer.lr"), False) == [
        "params.optimizer.lr"
    ]
    assert "No other column" in page(team, part="columns-found", columns="kind", find="no such")


def test_metrics_of_other_projects_are_not_offered(team: Team) -> None:
    measure(scene.submit(scene.project("Theirs"), name="theirs"), "secret/loss", 1.0)
    submit(team, "mine")
    assert "secret" not in page(team) + page(team, part="columns-found", find="secret")


def test_one_moves_a_place_at_a_time_and_never_off_the_end() -> None:
    assert moved(("a", "b", "c"), "b", -1) == ("b", "a", "c")
    assert moved(("a", "b", "c"), "b", 1) == ("a", "c", "b")
    assert moved(("a", "b", "c"), "a", -1) == ("a", "b", "c")
    assert moved(("a", "b", "c"), "c", 1) == ("a", "b", "c")
    assert moved(("a", "b"), "x", 1) == ("a", "b")


def test_the_arrows_work_without_a_script(team: Team) -> None:
    assert values(page(team, column=["kind", "tags", "time"], up="tags"), True) == ["tags", "kind", "time"]


def test_the_form_leads_to_an_address_that_has_the_columns_in_order_and_the_filter(team: Team) -> None:
    measure(submit(team, "run"), "a,b", 1.0)
    names = ["tags", metric_column("a,b", "mean"), "params.optimizer.lr"]
    fields = urlencode({"column": names, "q": "run", "sort": "-name", "find": "x"}, doseq=True)
    answer = team.client("viewer").get(f"{reverse('runs', args=[team.project.slug])}?{fields}")
    assert answer.status_code == 302
    asked = parse_qs(urlsplit(answer["Location"]).query)
    assert asked == {"columns": [",".join(names)], "q": ["run"], "sort": ["-name"]}
    text = team.client("viewer").get(answer["Location"]).content.decode()
    heads = [re.sub(r"<[^>]*>|\s", "", head) for head in re.findall(r'<th scope="col"[^>]*>(.*?)</th>', text, re.S)]
    assert heads == ["Run↓", "Tags", "a,bmean", "optimizer.lr"]


@pytest.mark.parametrize(
    "name", ["loss", "kind", "name", "user", "duration", "metrics.x", "a,b", 'a"b', "a b", "x.min"]
)
@pytest.mark.parametrize("aggregate", ["last", "min", "max", "mean"])
def test_every_metric_has_a_name_that_means_it(name: str, aggregate: str) -> None:
    found = column(metric_column(name, aggregate))
    assert found.metric == (name, aggregate) and found.order is not None


def test_every_column_that_is_offered_can_be_sorted_by() -> None:
    assert [name for name, item in COLUMNS.items() if item.order is None] == []


def test_an_address_with_commas_in_names_is_read_back() -> None:
    from django.http import QueryDict

    query = Query(columns=("kind", 'metrics."a,b".min', "params.x"))
    assert Query.of(QueryDict(query.url_query()[1:])) == query


def test_a_column_of_no_possible_name_breaks_no_page(team: Team) -> None:
    submit(team, "run")
    for names in ("a\x00b,\x00", "params.", 'metrics."a', "x" * 3000):
        address = f"{reverse('runs', args=[team.project.slug])}?{urlencode({'columns': names, 'sort': names})}"
        assert team.client("viewer").get(address).status_code == 200, names


def test_the_page_of_columns_belongs_to_the_runs(team: Team) -> None:
    assert re.search(r'aria-current="page"[^>]*>Runs', page(team))
