"""The compare page: what it shows, what it says of what it can't show, and that its address is all there is to it."""

from __future__ import annotations

import csv
import io
import json
import re
from html import unescape
from typing import Any

import pytest
from django.urls import reverse
from scipy import stats

from tests.pages.team import ROLES, Team
from tests.pages.test_markup import check
from tests.runs import scene as runs
from tests.sweeps import scene as sweeps
from tests.sweeps.comparison import scene
from tests.sweeps.comparison.scene import Study
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db
PAGE = reverse("compare")


@pytest.fixture
def study(team: Team) -> Study:
    return scene.study(team.project, team.people["editor"])


def html(team: Team, query: str = "", role: str = "viewer", status: int = 200) -> str:
    answer = team.client(role).get(f"{PAGE}?{query}")
    assert answer.status_code == status
    return answer.content.decode()


def words(page: str) -> str:
    """The text of the page, each blank once."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def labels(page: str) -> list[str]:
    return re.findall(r'<th scope="row"[^>]*>([^<]+)<', page)


def row(page: str, label: str) -> str:
    found = re.search(rf'<tr id="group-\d+"[^>]*>(?:(?!</tr>).)*>{label}<.*?</tr>', page, re.DOTALL)
    assert found, label
    return words(found[0])


def test_with_nothing_chosen_it_says_how_to_choose(team: Team) -> None:
    page = html(team)
    assert "Nothing to compare yet" in page
    assert 'name="q"' in page and "data-figure" not in page


def test_groups_stand_in_a_table_the_best_on_top(team: Team, study: Study) -> None:
    page = html(team, f"runs={study.numbers}")
    assert labels(page) == ["full", "lora rank 4", "lora rank 2"]
    assert "difference below noise paired, 3 seeds" in row(page, "lora rank 4")
    assert "worse paired, 3 seeds" in row(page, "lora rank 2")
    low, high = stats.ttest_rel([1.68, 1.72, 1.7], [1.49, 1.5, 1.51]).confidence_interval()
    assert f"+0.200 {low:+.3f} to {high:+.3f} +13.3 %" in row(page, "lora rank 2")
    assert "0.5 % 0.005x" in row(page, "lora rank 2")
    assert "baseline" in row(page, "full")
    assert "Steps exactly equal" in words(page)


def test_a_run_that_was_lost_is_shown_and_counted(team: Team, study: Study) -> None:
    page = html(team, f"runs={study.numbers}")
    assert "1 out of memory" in row(page, "lora rank 4")
    assert "Runs that count in no mean: 1 out of memory." in words(page)
    assert f'href="{reverse("run", args=[team.project.slug, study.large[3].pk])}"' in page


def test_a_column_sorts_both_ways_and_says_so(team: Team, study: Study) -> None:
    page = html(team, f"runs={study.numbers}&sort=wall_time_s")
    assert labels(page) == ["lora rank 2", "lora rank 4", "full"]
    assert page.count("aria-sort=") == 1 and 'aria-sort="ascending"' in page
    assert labels(html(team, f"runs={study.numbers}&sort=-wall_time_s")) == ["full", "lora rank 4", "lora rank 2"]


def test_what_has_no_value_comes_last_either_way(team: Team, study: Study) -> None:
    hopeless = scene.lost(scene.queued(team.project, team.people["editor"], scene.FULL, batch_size=64), "diverged")
    for sort in ("quality", "-quality"):
        page = html(team, f"runs={study.numbers},{hopeless.pk}&sort={sort}")
        assert "1 diverged" in row(page, labels(page)[-1])


def test_one_seed_has_no_interval_and_it_says_so(team: Team, study: Study) -> None:
    page = html(team, f"runs={study.full[0].pk},{study.small[0].pk}")
    assert "one seed" in row(page, "lora") and "no interval" in row(page, "lora")
    assert "One seed, or too few in common: no interval" in words(page)


def test_the_address_chooses_baseline_measure_and_budget(team: Team, study: Study) -> None:
    page = html(team, f"runs={study.numbers}&baseline={study.small[2].pk}&x=flops&budget=wall_time_s")
    assert "baseline" in row(page, "lora rank 2") and "better" in row(page, "full")
    assert 'id="chart-flops"' in page and 'id="chart-trainable"' not in page
    assert "Time not equal: 1.0x to 2.0x the baseline's." in words(page)
    assert "beyond the tolerance" in row(page, "full")
    assert f'value="{study.small[2].pk}" selected' in re.sub(r"\s+", " ", page)


def test_all_measures_can_be_drawn_and_those_without_numbers_are_named(team: Team, study: Study) -> None:
    page = html(team, f"runs={study.numbers}&x=all")
    assert page.count("data-figure=") == 7
    assert "Measured of no group: Energy." in words(page)


def test_an_address_that_can_not_be_says_what_to_change(team: Team, study: Study) -> None:
    page = html(team, f"runs={study.numbers}&budget=luck&tolerance=x", status=422)
    assert "budget: " in page and "not &#x27;luck&#x27;" in page and "tolerance: " in page
    assert labels(page)  # the rest of the address is answered
    assert "must be one of" in html(team, f"project={team.project.slug}&status=nowhere", status=422)
    assert "runs must be numbers separated by commas" in html(team, "runs=1;2", status=422)


def test_a_metric_that_nobody_has_and_runs_that_are_not_there_are_named(team: Team, study: Study) -> None:
    text = words(html(team, f"runs={study.numbers},987654&metric=eval/f1"))
    assert "Not there, or not yours to see: run 987654." in text
    assert "No compared run has logged 'eval/f1'; they have eval/loss." in text


def test_other_data_are_warned_of_by_name(team: Team, study: Study) -> None:
    other = {"source": "builtin", "name": "stdlib-source"}
    run = scene.ended(scene.queued(team.project, team.people["editor"], scene.FULL, data=other), 1.0)
    assert "Different data: language-reference (" in words(html(team, f"runs={study.numbers},{run.pk}"))


def test_a_query_is_that_of_the_table_of_runs(team: Team, study: Study) -> None:
    table = team.client("viewer").get(reverse("runs", args=[team.project.slug]) + "?q=lora").content.decode()
    link = unescape(re.search(r'id="runs-compare"\s+href="([^"]+)"', table)[1])
    assert labels(team.client("viewer").get(link).content.decode()) == ["lora rank 4", "lora rank 2"]
    assert "Compare 7" in words(table)


def test_ticked_runs_lead_to_their_comparison(team: Team, study: Study) -> None:
    ticked = [study.full[0].pk, study.small[0].pk]
    answer = team.client("editor").post(
        reverse("runs-bulk", args=[team.project.slug]), {"run": ticked, "do": "compare"}
    )
    assert answer.headers["Location"] == f"{PAGE}?runs={ticked[0]},{ticked[1]}"


def test_runs_sweeps_and_the_navigation_lead_here(team: Team, study: Study) -> None:
    client = team.client("viewer")
    run = client.get(reverse("run", args=[team.project.slug, study.full[0].pk])).content.decode()
    assert f'href="{PAGE}?runs={study.full[0].pk}"' in run
    assert f'href="{PAGE}"' in run
    sweep = sweeps.create(project=team.project, user=team.people["editor"])
    page = client.get(reverse("sweep", args=[team.project.slug, sweep.pk])).content.decode()
    assert f'href="{PAGE}?sweep={sweep.pk}"' in page


def figure(team: Team, query: str, measure: str = "trainable", role: str = "viewer") -> Any:
    answer = team.client(role).get(reverse("compare-figure", args=[measure]) + f"?{query}")
    assert answer.status_code == 200
    return json.loads(answer.content)


def test_the_figure_and_the_files_tell_the_same_numbers(team: Team, study: Study) -> None:
    client, query = team.client("viewer"), f"runs={study.numbers}"
    api = client.get(f"{reverse('api:compare_runs')}?{query}").json()["comparison"]["lines"]
    drawn = {told[0]: y for trace in figure(team, query)["data"][1:]
             for told, y in zip(trace["customdata"], trace["y"], strict=True)}  # fmt: skip
    assert drawn == {line["label"]: line["quality"]["mean"] for line in api}
    file = client.get(reverse("compare-csv") + f"?{query}")
    assert file.headers["Content-Disposition"] == 'attachment; filename="comparison.csv"'
    table = list(csv.DictReader(io.StringIO(file.content.decode())))
    assert [float(line["eval/loss"]) for line in table] == [line["quality"]["mean"] for line in api]
    assert [line["difference.low"] for line in table] == [
        "" if line["against"] is None else str(line["against"]["low"]) for line in api
    ]
    assert table[1]["energy_kwh"] == ""


def test_a_spreadsheet_runs_nothing_that_people_wrote(team: Team) -> None:
    from webapp.runs import actions

    run = actions.create_external(project=team.project, user=team.people["editor"], name="=1+1")
    file = team.client("viewer").get(reverse("compare-csv") + f"?runs={run.pk}").content.decode()
    assert "'=1+1" in file


@pytest.mark.parametrize("name", ["compare", "compare-figure", "compare-csv"])
@pytest.mark.parametrize("role", ROLES)
def test_a_project_and_a_sweep_are_shown_to_its_members_alone(team: Team, study: Study, name: str, role: str) -> None:
    sweep = sweeps.create(project=team.project, user=team.people["editor"])
    address = reverse(name, args=["trainable"] if name == "compare-figure" else [])
    expected = {"anonymous": 302, "stranger": 404}.get(role, 200)
    for query in (f"project={team.project.slug}", f"sweep={sweep.pk}"):
        assert team.client(role).get(f"{address}?{query}").status_code == expected


def test_a_stranger_learns_nothing_of_runs_that_are_not_theirs(team: Team, study: Study) -> None:
    page = html(team, f"runs={study.numbers}", role="stranger")
    assert labels(page) == [] and team.project.name not in page
    mine = runs.submit(runs.project("Theirs", team.people["stranger"]), user=team.people["stranger"])
    page = html(team, f"runs={study.numbers},{mine.pk}", role="stranger")
    assert labels(page) == ["full"]  # nano, queued: one run, of their own
    assert "10 runs" not in words(page) and ">1</dd" in page.replace(" ", "").replace("<small>", "</dd><small>")
    assert figure(team, f"runs={study.numbers}", role="stranger")["data"][0]["x"] == []
    file = team.client("stranger").get(reverse("compare-csv") + f"?runs={study.numbers}").content.decode()
    assert file.count("\n") == 1


def test_a_deleted_run_is_not_compared(team: Team, study: Study) -> None:
    from webapp.runs import actions

    actions.delete(study.small[0])
    assert f"run {study.small[0].pk}." in words(html(team, f"runs={study.numbers}"))


def test_an_unknown_figure_and_an_odd_address_have_no_file(team: Team, study: Study) -> None:
    client = team.client("viewer")
    assert client.get(reverse("compare-figure", args=["luck"])).status_code == 404
    assert client.get(reverse("compare-csv") + "?budget=luck").status_code == 404
    assert client.get(f"{PAGE}?sweep=987654").status_code == 404


def test_the_markup_is_sound(team: Team, study: Study) -> None:
    for query in ("", f"runs={study.numbers}", f"runs={study.numbers}&x=all", "runs=987654", "runs=x"):
        address = f"{PAGE}?{query}"
        check(address, team.client("editor").get(address))


def test_many_groups_stand_on_pages(team: Team, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.pages.compare.table.PAGE_ROWS", 2)
    query = f"runs={study.numbers}"
    assert [labels(html(team, f"{query}&page={page}")) for page in (1, 2, 3)] == [
        ["full", "lora rank 4"], ["lora rank 2"], ["lora rank 2"]
    ]  # fmt: skip
    assert Run.objects.count() == 11
