"""The table of sweeps and the page of one: what stands there, in what order, at how many queries."""

from __future__ import annotations

import re

import numpy as np
import pytest
from django.http import HttpResponse, QueryDict
from django.test import Client
from django.urls import reverse

from tests.pages.team import Team
from tests.pages.test_markup import check
from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.charts.sweeps import charts_of
from webapp.pages.sweeps import table as tables
from webapp.pages.sweeps.segments import segments_of
from webapp.pages.sweeps.trials import front, ranks_of
from webapp.runs.models import Run
from webapp.sweeps import actions, queries, winners
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.states import SweepStatus, TrialStatus

pytestmark = pytest.mark.django_db
PARTS = ("sweep", "sweep-trials", "sweep-timeline", "sweep-config", "sweep-events")


def create(team: Team, **changes: object) -> Sweep:
    return scene.create(project=team.project, user=team.people["editor"], **changes)


def loss(run: Run) -> float:
    """Least at the lowest rate; the seed adds a little."""
    return 1 + float(run.spec["optimizer"]["lr"]) + 1e-4 * float(run.spec["seed"])


@pytest.fixture
def done(team: Team) -> Sweep:
    return scene.finish(create(team, seeds=2, name="done one", tags=["night"]), loss)


@pytest.fixture
def client(team: Team) -> Client:
    return team.client("editor")


def get(client: Client, name: str, team: Team, sweep: Sweep | None = None, query: str = "") -> HttpResponse:
    args = [team.project.slug, *([sweep.pk] if sweep else [])]
    return client.get(reverse(name, args=args) + query)


def numbers(answer: HttpResponse) -> list[int]:
    return [int(number) for number in re.findall(r'<tr id="trial-(\d+)"', answer.content.decode())]


# ---- the table of sweeps


def test_the_table_tells_state_best_value_and_trials(team: Team, client: Client, done: Sweep) -> None:
    create(team, name="live one")
    answer = get(client, "sweeps", team)
    check("sweeps", answer)
    page = answer.content.decode()
    best = min(trial.values[0] for trial in scene.trials(done))
    assert f"<b>{best:.4g}</b>" in page
    assert re.findall(r'class="open"\s+id="open-\d+"\s+href="[^"]+">([^<]+)</a>', page) == ["live one", "done one"]
    assert 'aria-current="page"' in page.partition(">Sweeps<")[0].rpartition("<a")[2]


def test_filters_narrow_and_are_kept_in_the_address(team: Team, client: Client, done: Sweep) -> None:
    create(team, name="live one")
    for query, left in {"?q=live": "live one", "?status=over": "done one", "?tag=night": "done one"}.items():
        page = get(client, "sweeps", team, query=query).content.decode()
        assert re.findall(r'class="open"[^>]*>([^<]+)</a>', page) == [left], query
    assert "No sweep is like this" in get(client, "sweeps", team, query="?q=nothing").content.decode()


def test_pages_follow_each_other_by_number(team: Team) -> None:
    made = [create(team, name=f"s{number}").pk for number in range(tables.PAGE_ROWS + 3)][::-1]
    user = team.people["editor"]
    first = tables.table(user, team.project, tables.Query())
    second = tables.table(user, team.project, tables.Query.of(QueryDict(first.next_url[1:])))
    again = tables.table(user, team.project, tables.Query.of(QueryDict(second.previous_url[1:])))
    assert [row.sweep.pk for row in first.rows] == made[: tables.PAGE_ROWS]
    assert [row.sweep.pk for row in second.rows] == made[tables.PAGE_ROWS :]
    assert [row.sweep.pk for row in again.rows] == made[: tables.PAGE_ROWS]
    assert (first.previous_url, second.next_url, again.previous_url) == ("", "", "")


def test_the_table_costs_as_many_queries_with_ten_sweeps_as_with_one(team: Team, client: Client, done: Sweep) -> None:
    few = _queries(client, reverse("sweeps", args=[team.project.slug]))
    for number in range(9):
        scene.advanced(create(team, name=f"s{number}"))
    assert _queries(client, reverse("sweeps", args=[team.project.slug])) == few


def test_an_empty_project_says_what_belongs_there(team: Team, client: Client) -> None:
    page = get(client, "sweeps", team).content.decode()
    assert "No sweep yet" in page
    assert reverse("sweep-new", args=[team.project.slug]) in page


def test_segments_fill_the_bar_in_proportion() -> None:
    counts = dict.fromkeys(TrialStatus.values, 0) | {"succeeded": 5, "stopped": 2, "running": 1, "total": 8}
    segments = segments_of(counts, 10)
    assert [(one.tone, one.trials, one.start, one.width) for one in segments] == [
        ("good", 5, 0, 50), ("still", 2, 50, 20), ("busy", 1, 70, 10),
    ]  # fmt: skip


# ---- the page


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_clean_markup_for_a_fresh_a_live_and_a_finished_sweep(
    team: Team, client: Client, done: Sweep, name: str
) -> None:
    fresh, live = create(team, name="fresh"), scene.advanced(create(team, name="live"))
    for sweep in (fresh, live, done):
        answer = get(client, name, team, sweep)
        assert answer.status_code == 200
        check(name, answer)


def test_every_chart_of_the_page_has_a_figure(team: Team, client: Client, done: Sweep) -> None:
    page = get(client, "sweep", team, done).content.decode()
    for chart in charts_of(queries.definition(done)):
        address = reverse("sweep-figure", args=[team.project.slug, done.pk, chart.name])
        assert chart.name == "timeline" or address in page
        assert client.get(address).json()["layout"]
    assert get(client, "sweep-timeline", team, done).content.decode().count("data-figure") == 1


def test_the_config_leads_to_exports_that_there_are(team: Team, client: Client, done: Sweep) -> None:
    page = get(client, "sweep-config", team, done).content.decode()
    links = re.findall(r'href="(/api/v1/[^"]+/export[^"]+)"', page)
    assert len(links) == 3
    assert [client.get(link).status_code for link in links] == [200] * 3


def test_an_unknown_chart_and_an_unknown_option_are_refused(team: Team, client: Client, done: Sweep) -> None:
    address = reverse("sweep-figure", args=[team.project.slug, done.pk, "best_so_far"])
    assert client.get(address + "?x=hours").status_code == 200
    assert client.get(address + "?x=moons").status_code == 422
    assert client.get(reverse("sweep-figure", args=[team.project.slug, done.pk, "none"])).status_code == 404


def test_the_head_tells_the_best_with_its_interval_and_what_was_spent(team: Team, client: Client, done: Sweep) -> None:
    page = get(client, "sweep-head", team, done).content.decode()
    best = winners.best(done)
    assert best is not None and best.intervals[0] is not None
    low, high = best.intervals[0].low, best.intervals[0].high
    assert f"<dd>{best.values[0]:.4g}" in page
    assert f"trial {best.trial} · {low:.4g} to {high:.4g} (95 %, 2 seeds)" in page
    assert "4 of 4" in page
    assert "8 runs" in page


def test_the_head_of_a_live_sweep_asks_again_and_that_of_a_finished_one_does_not(
    team: Team, client: Client, done: Sweep
) -> None:
    live = scene.advanced(create(team))
    assert 'hx-trigger="every 3s"' in get(client, "sweep-head", team, live).content.decode()
    assert "hx-trigger" not in get(client, "sweep-head", team, done).content.decode()


def test_two_trials_that_can_not_be_told_apart_are_said_to_be(team: Team, client: Client) -> None:
    """Means 1.0 and 1.1 with a spread of 1: two seeds settle nothing. Without a spread they settle it at once."""
    noisy = scene.finish(create(team, trials=2, seeds=2), lambda run: _step(run) + float(run.spec["seed"]))
    clear = scene.finish(create(team, trials=2, seeds=2), _step)
    assert re.search(r"Trials 1 and 2.*about [\d,]+ more seeds", get(client, "sweep", team, noisy).content.decode())
    assert "told apart" not in get(client, "sweep", team, clear).content.decode()


def test_failed_trials_stand_in_a_note_with_their_most_common_message(team: Team, client: Client) -> None:
    sweep = scene.advanced(create(team, concurrency=4))
    for place, run in enumerate(scene.waiting(sweep)):
        scene.break_down(run, message="No such file." if place < 3 else "Odd one out.")
    scene.advanced(sweep)
    page = get(client, "sweep", team, sweep).content.decode()
    assert "4 trials without a result" in page
    assert "Most often: No such file." in page
    assert "Requeue failed" in page


# ---- the trials


def test_the_trials_stand_by_rank_with_their_knobs_and_seeds(team: Team, client: Client, done: Sweep) -> None:
    answer = get(client, "sweep-trials", team, done)
    best_first = [trial.number for trial in sorted(scene.trials(done), key=lambda trial: trial.values[0])]
    assert numbers(answer) == best_first
    page = answer.content.decode()
    assert "optimizer.lr</a>" in page
    assert page.count('class="seed succeeded tune"') == 8


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("number", lambda trial: trial.number),
        ("-number", lambda trial: -trial.number),
        ("-value.0", lambda trial: -trial.values[0]),
        ("param.optimizer.lr", lambda trial: trial.params["optimizer.lr"]),
        ("param.batch_size", lambda trial: (trial.params["batch_size"], trial.number)),
    ],
)
def test_the_trials_are_sorted_by_any_column(team: Team, client: Client, done: Sweep, sort: str, key: object) -> None:
    expected = [trial.number for trial in sorted(scene.trials(done), key=key)]  # type: ignore[call-overload]
    assert numbers(get(client, "sweep-trials", team, done, f"?sort={sort}")) == expected


def test_an_unknown_sort_or_page_shows_the_table_all_the_same(team: Team, client: Client, done: Sweep) -> None:
    for query in ("?sort=nothing", "?sort=param.no.such", "?page=999", "?page=x", "?status=odd", "?sort=value.9"):
        assert len(numbers(get(client, "sweep-trials", team, done, query))) == 4


def test_the_trials_are_filtered_by_state_and_number(team: Team, client: Client) -> None:
    sweep = scene.advanced(create(team, concurrency=2))
    scene.train(scene.waiting(sweep)[0], 1.0)
    scene.advanced(sweep)
    assert numbers(get(client, "sweep-trials", team, sweep, "?status=succeeded")) == [1]
    assert 1 not in numbers(get(client, "sweep-trials", team, sweep, "?status=open"))
    assert numbers(get(client, "sweep-trials", team, sweep, "?number=2")) == [2]


def test_a_page_of_trials_costs_as_many_queries_with_many_as_with_few(team: Team, client: Client) -> None:
    few, many = (scene.finish(create(team, trials=number, seeds=2), loss) for number in (3, 12))
    costs = {_queries(client, reverse("sweep-trials", args=[team.project.slug, one.pk])) for one in (few, many)}
    assert len(costs) == 1


def test_stopped_and_failed_trials_say_why(team: Team, client: Client) -> None:
    sweep = scene.advanced(create(team))
    scene.break_down(scene.waiting(sweep)[0], message="A <b>loud</b> error.")
    scene.advanced(sweep)
    page = get(client, "sweep-trials", team, sweep).content.decode()
    assert "A &lt;b&gt;loud&lt;/b&gt; error." in page


def test_ranks_go_by_the_mean_of_what_succeeded(done: Sweep) -> None:
    succeeded = Trial.objects.filter(sweep=done, status="succeeded")
    ordered = sorted(succeeded, key=lambda trial: (trial.values[0], trial.number))
    assert ranks_of(done, queries.definition(done)) == {trial.pk: rank for rank, trial in enumerate(ordered, 1)}


def test_the_front_is_what_nobody_dominates() -> None:
    """Against the definition, on random points with ties."""
    values = np.random.default_rng(0).integers(0, 6, (60, 3)).astype(float)

    def is_dominated(place: int) -> bool:
        return any((other <= values[place]).all() and (other < values[place]).any() for other in values)

    assert sorted(front(values)) == [place for place in range(60) if not is_dominated(place)]


def test_trials_are_cancelled_preferred_and_resumed(team: Team, client: Client) -> None:
    sweep = scene.advanced(create(team))
    slug = team.project.slug
    client.post(reverse("sweep-trial-priority", args=[slug, sweep.pk, 2]), {"priority": "10"})
    assert Trial.objects.get(sweep=sweep, number=2).priority == 10
    client.post(reverse("sweep-trial-cancel", args=[slug, sweep.pk, 2]))
    assert Trial.objects.get(sweep=sweep, number=2).status == TrialStatus.CANCELLED
    page = client.get(reverse("sweep-trials", args=[slug, sweep.pk])).content.decode()
    assert reverse("sweep-trial-resume", args=[slug, sweep.pk, 2]) in page
    client.post(reverse("sweep-trial-resume", args=[slug, sweep.pk, 2]))
    assert Trial.objects.get(sweep=sweep, number=2).status == TrialStatus.RUNNING
    refused = client.post(reverse("sweep-trial-resume", args=[slug, sweep.pk, 1]), follow=True)
    assert "only a stopped or cancelled trial can be resumed" in refused.content.decode()


# ---- control


def test_buttons_do_what_they_say_and_a_wrong_state_is_told(team: Team, client: Client) -> None:
    sweep = scene.advanced(create(team))
    slug = team.project.slug
    for name, status in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        client.post(reverse(f"sweep-{name}", args=[slug, sweep.pk]))
        sweep.refresh_from_db()
        assert sweep.status == status
    answer = client.post(reverse("sweep-pause", args=[slug, sweep.pk]), follow=True)
    assert "can&#x27;t be paused" in answer.content.decode()
    client.post(reverse("sweep-delete", args=[slug, sweep.pk]))
    sweep.refresh_from_db()
    assert sweep.deleted_at is not None


def test_extending_adds_trials_and_goes_on(team: Team, client: Client, done: Sweep) -> None:
    address = reverse("sweep-extend", args=[team.project.slug, done.pk])
    assert client.post(address, {"trials": "3"}).status_code == 302
    done.refresh_from_db()
    assert (done.status, done.definition["trials"]) == (SweepStatus.RUNNING, 7)
    answer = client.post(address, {"trials": ""})
    assert answer.status_code == 422
    assert "Say how many trials to add" in answer.content.decode()
    answer = client.post(address, {"trials": "-1"})
    assert 'value="-1"' in answer.content.decode()


def test_extending_raises_only_the_limits_that_there_are(team: Team, client: Client) -> None:
    sweep = create(team, budget={"gpu_hours": 2})
    address = reverse("sweep-extend", args=[team.project.slug, sweep.pk])
    page = client.get(address).content.decode()
    assert 'name="gpu_hours"' in page
    assert 'name="flops"' not in page
    client.post(address, {"trials": "", "gpu_hours": "5"})
    sweep.refresh_from_db()
    assert (sweep.definition["budget"]["gpu_hours"], sweep.definition["trials"]) == (5, 4)
    answer = client.post(address, {"trials": "", "gpu_hours": "many"})
    assert answer.status_code == 422
    assert 'value="many"' in answer.content.decode()


def test_a_point_is_added_by_hand_and_a_wrong_one_is_told(team: Team, client: Client, done: Sweep) -> None:
    address = reverse("sweep-add", args=[team.project.slug, done.pk])
    answer = client.post(address, {"optimizer.lr": "7", "batch_size": "8"})
    assert answer.status_code == 422
    assert 'value="7"' in answer.content.decode()
    assert "optimizer.lr must be" in answer.content.decode()
    assert client.post(address, {"optimizer.lr": "0.002", "batch_size": "8"}).status_code == 302
    added = scene.trials(done)[-1]
    assert (added.params, added.source) == ({"optimizer.lr": 0.002, "batch_size": 8}, Trial.Source.HAND)


def test_a_run_page_leads_to_its_trial_and_to_a_sweep_from_it(team: Team, client: Client, done: Sweep) -> None:
    run = Run.objects.filter(replicate__trial__sweep=done, replicate__seed=1).first()
    assert run is not None
    page = client.get(reverse("run", args=[team.project.slug, run.pk])).content.decode()
    number = run.replicate.trial.number
    assert f"trial {number} of sweep done one, seed 1" in page
    assert reverse("sweep-trials", args=[team.project.slug, done.pk]) + f"?number={number}" in page
    assert reverse("sweep-new", args=[team.project.slug]) + f"?run={run.pk}" in page
    alone = runs.submit(team.project)
    assert "of sweep" not in client.get(reverse("run", args=[team.project.slug, alone.pk])).content.decode()
    actions.delete(done, None)
    assert "of sweep" not in client.get(reverse("run", args=[team.project.slug, run.pk])).content.decode()


def _step(run: Run) -> float:
    return 1 + 0.1 * float(run.replicate.trial.number)


def _queries(client: Client, address: str) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.get(address)  # the session remembers the project
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)
