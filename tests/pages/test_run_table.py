"""The runs table: what it finds, in what order, and what its rows say."""

from __future__ import annotations

import html as html_module
import math
import re
import time
from urllib.parse import quote_plus

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.pages.team import Team
from tests.runs import scene
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs import actions
from webapp.runs.models import Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


def submit(team: Team, name: str, **fields: object) -> Run:
    return scene.submit(team.project, user=team.people["editor"], name=name, **fields)


def measure(run: Run, name: str, *values: float) -> None:
    store.append(run.pk, {name: Points.of(range(len(values)), values, [time.time()] * len(values))})


def html(team: Team, query: str = "", role: str = "viewer", **headers: str) -> str:
    answer = team.client(role).get(reverse("runs", args=[team.project.slug]) + query, headers=headers or None)
    assert answer.status_code == 200
    return answer.content.decode()


def names(team: Team, query: str = "") -> list[str]:
    return re.findall(r'class="open"[^>]*>([^<]*)</a>', html(team, query))


def test_the_newest_run_comes_first(team: Team) -> None:
    submit(team, "old")
    submit(team, "new")
    assert names(team) == ["new", "old"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?q=ALPHA", ["alpha one"]),
        ("?q=one", ["beta one", "alpha one"]),
        ("?q=one+beta", ["beta one"]),
        ("?q=keep", ["beta one"]),
        ("?q=full", ["beta one", "alpha one"]),
        ("?tag=keep", ["beta one"]),
        ("?status=queued", ["beta one"]),
        ("?status=ended", ["alpha one"]),
        ("?status=active", []),
        ("?kind=finetune", []),
        ("?kind=pretrain&status=queued", ["beta one"]),
        ("?q=%25", []),
        ("?q=%00", ["beta one", "alpha one"]),
        ("?after=made-up&rows=x", ["beta one", "alpha one"]),
        ("?status=no-such", []),
    ],
)
def test_the_filter(team: Team, query: str, expected: list[str]) -> None:
    actions.cancel(submit(team, "alpha one"))
    submit(team, "beta one", tags=["keep"])
    assert names(team, query) == expected


def test_a_run_is_found_by_its_number(team: Team) -> None:
    run = submit(team, "named")
    submit(team, "other")
    assert names(team, f"?q={run.pk}") == ["named"]


def test_sorting_by_a_metric_puts_nan_and_nothing_last(team: Team) -> None:
    for name, value in (("b", 2.0), ("nan", math.nan), ("a", 1.0)):
        measure(submit(team, name), "eval/loss", value)
    submit(team, "none")
    assert names(team, "?sort=eval/loss") == ["a", "b", "nan", "none"]
    assert names(team, "?sort=-eval/loss") == ["b", "a", "none", "nan"]


@pytest.mark.parametrize(
    "column", ["name", "status", "progress", "kind", "method", "trainable", "memory", "speed", "time", "priority",
               "queue", "by", "created", "model", "data", "tags", "no/such metric"],
)  # fmt: skip
def test_every_column_can_be_sorted_by_both_ways(team: Team, column: str) -> None:
    scene.running(where=team.project, user=team.people["editor"], name="running")
    submit(team, "queued")
    assert sorted(names(team, f"?sort={column}")) == sorted(names(team, f"?sort=-{column}")) == ["queued", "running"]


@pytest.mark.parametrize(
    "column", ["status", "progress", "method", "trainable", "memory", "speed", "time", "by", "-time"]
)
def test_pages_of_every_column_hold_every_run_once(team: Team, column: str) -> None:
    scene.running(where=team.project, user=team.people["editor"], name="running")
    Run.objects.bulk_create(
        Run(project=team.project, name=f"r{number}", kind="external", status="failed", queue_id="default",
            started_at=timezone.now(), ended_at=timezone.now() if number else None)
        for number in range(11)
    )  # fmt: skip
    found, query = [], f"?sort={column}&rows=10"
    while query:
        found += names(team, query)
        following = re.search(r'href="([^"]*)" rel="next"', html(team, query))
        query = html_module.unescape(following[1]) if following else ""
    assert sorted(found) == sorted(Run.objects.values_list("name", flat=True))


def test_sorting_by_name_and_priority(team: Team) -> None:
    submit(team, "b", priority=1)
    submit(team, "a", priority=2)
    assert names(team, "?sort=name") == ["a", "b"]
    assert names(team, "?sort=priority") == ["b", "a"]


def test_columns_of_the_address_are_remembered(team: Team) -> None:
    measure(submit(team, "run"), "mine/score", 0.5)
    client, address = team.client("viewer"), reverse("runs", args=[team.project.slug])
    client.get(address + "?columns=kind,mine/score,no-such")
    heads = re.findall(r"<th scope=\"col\"[^>]*>(.*?)</th>", client.get(address).content.decode(), re.S)
    assert [re.sub(r"<[^>]*>|\s", "", head) for head in heads] == ["Run", "Kind", "mine/score"]


def test_a_queued_run_shows_its_place_and_a_running_one_its_progress(team: Team) -> None:
    attempt = scene.running(where=team.project, user=team.people["editor"], name="running")
    actions.progressed(attempt, 50)
    submit(team, "waiting")
    page = html(team)
    assert re.search(r'<progress[^>]*value="50"\s+max="100"', page)
    assert "#1" in page


def test_the_number_of_queries_does_not_grow_with_the_runs(team: Team) -> None:
    client, address = team.client("viewer"), reverse("runs", args=[team.project.slug])
    counts = []
    for number in range(8):
        measure(submit(team, f"run {number}"), "eval/loss", 1.0)
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        counts.append(len(queries))
    assert counts[-1] == counts[1]


def test_htmx_gets_the_table_alone(team: Team) -> None:
    submit(team, "run")
    fragment = html(team, **{"HX-Request": "true"})
    assert "<html" not in fragment
    assert fragment.strip().startswith('<div id="runs-table"')


def test_many_runs_are_shown_in_pages(team: Team) -> None:
    Run.objects.bulk_create(
        Run(project=team.project, name=f"r{number:03}", kind="external", status=Status.SUCCEEDED, queue_id=queue)
        for queue in [submit(team, "first").queue_id]
        for number in range(60)
    )
    assert len(names(team)) == 50
    assert "50 of 61" in html(team)
    following = re.search(r'href="([^"]*)" rel="next"', html(team))
    assert following
    second = html_module.unescape(following[1])
    assert names(team, second)[-1] == "first"
    assert "11 of 61" in html(team, second)
    back = re.search(r'href="([^"]*)" rel="prev"', html(team, second))
    assert back and names(team, html_module.unescape(back[1])) == names(team)


def test_aggregates_and_parameters_are_columns(team: Team) -> None:
    measure(submit(team, "b"), "eval/loss", 3.0, 1.0, 2.0)
    measure(submit(team, "a", changes={"steps": 7}), "eval/loss", 1.5)
    query = "?columns=metrics.eval/loss.min,metrics.eval/loss.mean,params.steps,params.method&sort=-params.steps"
    page = html(team, query)
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", page)
    assert cells == ["1", "2", "100", "full", "1.5", "1.5", "7", "full"]
    assert names(team, query.replace("sort=-params.steps", "sort=metrics.eval/loss.min")) == ["b", "a"]


def test_a_filter_of_many_runs_is_not_counted_to_the_end(team: Team) -> None:
    queue = submit(team, "first").queue_id
    runs = [Run(project=team.project, name="x", kind="external", status="failed", queue_id=queue) for _ in range(1100)]
    Run.objects.bulk_create(runs)
    page = html(team, "?status=failed")
    assert "50 of 1,000+" in page and ">1,101<" in page


def test_a_number_that_is_not_counted_to_the_end_is_counted_once_for_all_orders_and_pages(team: Team) -> None:
    queue = submit(team, "first").queue_id
    runs = [Run(project=team.project, name="x", kind="external", status="failed", queue_id=queue) for _ in range(1100)]
    Run.objects.bulk_create(runs)

    def counts(query: str) -> int:
        with CaptureQueriesContext(connection) as told:
            html(team, query)
        return sum("LIMIT 1001) subquery" in one["sql"] for one in told.captured_queries)

    assert counts("?status=failed") == 1
    assert counts("?status=failed&sort=name") == counts("?status=failed&sort=-time&rows=20") == 0
    assert counts("?status=failed&q=x") == 1 and counts("?status=queued,failed") == 0


def test_when_a_run_was_made_is_a_time_that_counts_on(team: Team) -> None:
    run = submit(team, "run")
    page = html(team, "?columns=created")
    assert f'<td class="n dim"><time data-relative datetime="{run.created_at.isoformat()}"' in page


def test_nothing_that_a_run_is_called_is_read_as_html(team: Team) -> None:
    """Rows are not drawn by templates, which escape by themselves."""
    odd = """<b>"'&</b>"""
    run = submit(team, odd, tags=[odd])
    Run.objects.filter(pk=run.pk).update(
        spec={"x": odd, "method": {"name": odd}, "model": {"source": odd, "name": odd}}
    )
    Run.objects.filter(pk=run.pk).update(status=odd, kind=odd)
    page = html(team, "?columns=status,kind,method,model,tags,params.x", "editor")
    row = re.search(r"<tr id=\"row-.*?</tr>", page, re.S)
    assert row is not None and odd not in page and "<b>" not in row[0]
    assert html_module.unescape(re.sub(r"<[^>]*>", "", row[0])).count(odd) == 7
    assert quote_plus(odd) in row[0]


def test_empty_tables_offer_the_one_thing_to_do(team: Team) -> None:
    assert reverse("run-new", args=[team.project.slug]) in html(team, role="editor")
    assert "No run yet" in html(team)
    submit(team, "run")
    assert "Show all runs" in html(team, "?q=nothing")


def bulk(team: Team, what: str, runs: list[Run], **fields: str) -> str:
    client = team.client("editor")
    data = {"do": what, "run": [run.pk for run in runs], **fields}
    return client.post(reverse("runs-bulk", args=[team.project.slug]), data, follow=True).content.decode()


def test_bulk_actions_do_what_they_can_and_say_what_they_could_not(team: Team) -> None:
    runs = [submit(team, "a"), submit(team, "b")]
    actions.cancel(runs[0])
    page = bulk(team, "cancel", runs)
    assert "1 run cancelled." in page
    assert "t be cancelled; it can be requeued or cloned." in page
    assert {run.status for run in Run.objects.all()} == {Status.CANCELLED}


def test_bulk_pausing_resuming_requeueing_and_tagging(team: Team) -> None:
    runs = [submit(team, "a", tags=["x"]), submit(team, "b")]
    for what, status in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("requeue", "queued")):
        bulk(team, what, runs)
        assert {run.status for run in Run.objects.all()} == {status}
    bulk(team, "tag", runs, tag="night")
    assert [run.tags for run in Run.objects.order_by("name")] == [["night", "x"], ["night"]]


def test_bulk_deleting_asks_first(team: Team) -> None:
    runs = [submit(team, "a")]
    assert "Delete 1 run?" in bulk(team, "delete", runs)
    assert not Run.objects.filter(deleted_at__isnull=False).exists()
    bulk(team, "delete", runs, sure="yes")
    assert Run.objects.filter(deleted_at__isnull=False).count() == 1


def test_bulk_goes_back_to_where_it_came_from_and_nowhere_else(team: Team) -> None:
    run, client = submit(team, "a"), team.client("editor")
    address = reverse("runs-bulk", args=[team.project.slug])
    data = {"do": "pause", "run": [run.pk], "back": "/p/code-models/runs/?q=a"}
    assert client.post(address, data)["Location"] == "/p/code-models/runs/?q=a"
    assert client.post(address, {**data, "back": "https://evil.example/"})["Location"] == "/p/code-models/runs/"
    assert client.post(address, {**data, "do": "explode"}).status_code == 400


def test_the_filter_takes_queries(team: Team) -> None:
    measure(submit(team, "good", tags=["a"]), "eval/loss", 3.0, 1.0)
    measure(submit(team, "bad"), "eval/loss", 2.0, 3.0)
    assert names(team, "?q=metrics.eval/loss+<+2") == ["good"]
    assert names(team, "?q=tags+!=+'a'+and+metrics.eval/loss.min+>%3D+2") == ["bad"]
    assert names(team, "?q=not+tags+%3D+a&status=queued&sort=name") == ["bad"]


def test_a_wrong_query_is_pointed_at_and_the_table_stays(team: Team) -> None:
    submit(team, "run")
    client, address = team.client("viewer"), reverse("runs", args=[team.project.slug]) + "?q=metrics.loss+<+'x'"
    whole = client.get(address)
    assert whole.status_code == 422
    text = html_module.unescape(whole.content.decode())
    lines = ("q: expected a number at character 16, not \"'x'\".", "metrics.loss < 'x'", f"{' ' * 15}^")
    message = "".join(f"<span>{line}</span>" for line in lines)
    assert message in text and ">run</a>" in text
    part = client.get(address, headers={"HX-Request": "true", "HX-Trigger": "filter"})
    assert part.status_code == 200
    assert part["HX-Reswap"] == "none" and part["HX-Push-Url"] == "false"
    assert message in html_module.unescape(part.content.decode()) and "<table" not in part.content.decode()
