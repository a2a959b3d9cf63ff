"""The list of fits, a fit's page, and fits side by side."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.urls import reverse

from tests.pages import fits
from tests.pages.team import Team
from tests.pages.test_markup import check
from tests.pages.test_run_page import text as plain
from tests.scaling import scene as trained
from webapp.pages.scaling.asked import number_of
from webapp.pages.templatetags.hone import metric
from webapp.runs import actions as runs
from webapp.runs.states import Status
from webapp.scaling import actions
from webapp.scaling.models import Fit, Ladder
from webapp.scaling.reading import read

pytestmark = pytest.mark.django_db
TABS = ("fit", "fit-numbers", "fit-points", "fit-revisions", "fit-spec")


@pytest.fixture
def fit(team: Team) -> Fit:
    return fits.fit_of(team.project, team.people["editor"])


def get(team: Team, name: str, *args: Any, role: str = "editor", **query: str) -> HttpResponse:
    return team.client(role).get(reverse(name, args=[team.project.slug, *args]), query)  # type: ignore[return-value]


def text(answer: HttpResponse) -> str:
    return plain(answer.content.decode())


# ---- the list


def test_without_fits_the_list_says_what_belongs_there(team: Team) -> None:
    assert "No fit yet" in text(get(team, "scaling"))
    assert "New fit" not in text(get(team, "scaling", role="viewer"))


def test_a_row_says_law_points_error_and_revision(team: Team, fit: Fit) -> None:
    result = fit.revisions.get().run.result or {}
    page = text(get(team, "scaling"))
    assert f"by table Chinchilla succeeded {len(result['warnings'])} warning" in page
    assert "16 points · 2 held out" in page
    assert f"{result['holdout']['mean_relative_error'] * 100:.2g}"[:3] in page
    assert "table no 1" in page  # from a table, not kept current, revision 1
    check("scaling", get(team, "scaling"))


def test_the_nav_counts_fits_and_ladders_and_marks_pages_below(team: Team, fit: Fit) -> None:
    Ladder.objects.create(project=team.project, name="nano ladder", definition={"target_flops": 1e18}, fit=fit)
    page = get(team, "fit", fit.pk).content.decode()
    assert 'aria-current="page"\n         data-key="g l">Scaling<small>2</small>' in page
    listed = text(get(team, "scaling"))
    assert "nano ladder" in listed and "1e18" in listed and "by table" in listed


def test_deleted_fits_are_gone_from_the_list(team: Team, fit: Fit) -> None:
    team.client("editor").post(reverse("fit-delete", args=[team.project.slug, fit.pk]))
    assert "No fit yet" in text(get(team, "scaling"))
    assert get(team, "fit", fit.pk).status_code == 404


# ---- a fit


@pytest.mark.parametrize("name", TABS)
def test_every_tab_is_clean_and_has_the_head(team: Team, fit: Fit, name: str) -> None:
    answer = get(team, name, fit.pk, role="viewer")
    check(name, answer)
    page = text(answer)
    assert "by table succeeded Chinchilla 16 points · 2 held out revision 1" in page
    assert "Held-out error" in page and "Extrapolates" in page


def test_charts_lead_to_figures_of_the_revision_that_is_shown(team: Team, fit: Fit) -> None:
    page = get(team, "fit", fit.pk).content.decode()
    address = reverse("fit-figure", args=[team.project.slug, fit.pk, "residuals"])
    assert f'data-figure="{address}?revision=1"' in page
    figure = team.client("viewer").get(f"{address}?revision=1")
    assert figure.json()["data"]
    assert team.client("viewer").get(f"{address}?revision=9").status_code == 404


def test_a_figure_is_a_file_too(team: Team, fit: Fit) -> None:
    address = reverse("fit-figure", args=[team.project.slug, fit.pk, "residuals"])
    answer = team.client("viewer").get(address, {"format": "csv"})
    lines = answer.content.decode().splitlines()
    assert answer["Content-Type"].startswith("text/csv") and lines[0] == "trace,x,y,z"
    measured = {f"{value:.6g}" for value in fits.SIZES}
    assert measured <= {f"{float(line.split(',')[-3]):.6g}" for line in lines[1:] if line.split(",")[-3]}


def test_a_figure_can_not_be_asked_what_it_does_not_have(team: Team, fit: Fit) -> None:
    address = reverse("fit-figure", args=[team.project.slug, fit.pk, "frontier"])
    assert team.client("viewer").get(address, {"budget": "70B"}).status_code == 200
    assert team.client("viewer").get(address, {"budget": "much"}).status_code == 422
    assert team.client("viewer").get(address, {"nonsense": "1"}).status_code == 422


def test_what_if_tells_the_laws_value_with_its_intervals(team: Team, fit: Fit) -> None:
    reading = read(fit.revisions.get().run)
    assert reading is not None
    told = reading.foreseen({"N": [1e9], "D": [2e10]})
    page = text(get(team, "fit", fit.pk, N="1B", D="20,000,000,000", budget="1e21"))
    assert f"Predicted loss {metric(float(told.value[0]))}" in page
    assert f"{metric(float(told.interval_low[0]))} to {metric(float(told.interval_high[0]))}" in page
    best = reading.optimum([1e21])
    assert best is not None
    assert "N* at 1e21" in page and f"Loss there {metric(float(best.loss[0]))}" in page


def test_a_number_that_is_none_is_named_and_the_rest_is_told(team: Team, fit: Fit) -> None:
    page = text(get(team, "fit", fit.pk, N="many", D="2e10", budget="1e21"))
    assert "many&#x27; is no number." in page
    assert "Predicted loss" not in page and "N* at 1e21" in page


@pytest.mark.parametrize(("typed", "value"), [("70B", 7e10), ("1.4 T", 1.4e12), ("1e9", 1e9), ("7,000", 7000.0)])
def test_numbers_are_read_as_people_write_them(typed: str, value: float) -> None:
    assert number_of(typed) == value


@pytest.mark.parametrize("typed", ["", "-1", "0", "inf", "nan", "B", "1e9e9"])
def test_what_is_no_positive_number_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="number"):
        number_of(typed)


def test_points_are_told_with_what_the_law_misses_the_worst_first(team: Team, fit: Fit) -> None:
    page = text(get(team, "fit-points", fit.pk))
    assert page.count("yes") == 2  # held out
    answer = get(team, "fit-export", fit.pk, "csv")
    rows = [line.split(",") for line in answer.content.decode().splitlines()]
    assert rows[0] == ["row", "run", "N", "D", "C", "loss", "predicted", "relative_error", "held_out"]
    assert len(rows) == 17 and sum(row[-1] == "true" for row in rows) == 2
    for row in rows[1:]:
        assert float(row[7]) == pytest.approx(float(row[6]) / float(row[5]) - 1)


def test_the_exported_spec_gives_the_same_numbers_again(team: Team, fit: Fit) -> None:
    run = fit.revisions.get().run
    spec = json.loads(get(team, "fit-export", fit.pk, "spec").content)
    _, again = fits._fitted(json.dumps(spec))
    assert json.loads(again)["parameters"] == (run.result or {})["parameters"]
    told = json.loads(get(team, "fit-export", fit.pk, "json").content)
    assert told["result"] == run.result and told["revision"] == 1
    assert get(team, "fit-export", fit.pk, "xml").status_code == 404


def test_revising_queues_another_revision_and_the_page_waits_for_it(team: Team, fit: Fit) -> None:
    team.client("editor").post(reverse("fit-revise", args=[team.project.slug, fit.pk]))
    assert [each.number for each in fit.revisions.all()] == [1, 2]
    page = get(team, "fit", fit.pk).content.decode()
    assert 'hx-trigger="every 2s"' in page and "Revise now" not in page
    assert 'data-shown="1"' in page
    fits.finish(fit.revisions.get(number=2).run)
    page = get(team, "fit", fit.pk).content.decode()
    assert 'data-shown="2"' in page and 'hx-trigger="every 20s"' in page
    older = text(get(team, "fit", fit.pk, revision="1"))
    assert "Older revision This is revision 1; the latest is 2." in older


def test_a_failed_revision_is_said_and_the_last_good_one_is_shown(team: Team, fit: Fit) -> None:
    revision = actions.revise(fit)
    by = runs.register_worker(name="w", hostname="host", pid=1, slots=1, queues=["default"])
    attempt = runs.claim(by, by.queues, [0])
    assert attempt is not None and attempt.run_id == revision.run_id
    runs.finish(attempt, Status.FAILED, error_type="DataError", error_message="too few points: 4 points")
    page = text(get(team, "fit", fit.pk))
    assert "Revision 2: failed too few points: 4 points Revision 1 is shown." in page
    assert "E irreducible" in page


def test_a_fit_without_a_result_says_that_it_is_on_its_way(team: Team) -> None:
    fit = actions.create_fit(project=team.project, user=team.people["editor"], spec=fits.spec(), name="new")
    for name in TABS:
        assert get(team, name, fit.pk).status_code == 200
    page = text(get(team, "fit", fit.pk))
    assert "On its way" in page and "Being fitted" in page
    assert get(team, "fit-export", fit.pk, "csv").status_code == 404
    assert get(team, "fit-figure", fit.pk, "residuals").status_code == 404


def test_only_points_from_runs_can_be_kept_current(team: Team, fit: Fit) -> None:
    address = reverse("fit-keep", args=[team.project.slug, fit.pk])
    answer = team.client("editor").post(address, {"kept": "yes"}, follow=True)
    fit.refresh_from_db()
    assert not fit.is_kept_current
    assert "Only points from runs become others" in plain(answer.content.decode())


def test_a_fit_of_runs_is_kept_current_and_no_longer(team: Team) -> None:
    spec = fits.spec(points={"source": "runs", "query": "ladder"})
    fit = actions.create_fit(project=team.project, user=None, spec=spec, name="kept", is_kept_current=True)
    page = text(get(team, "fit", fit.pk))
    assert "Not kept current No run that has succeeded" in page
    team.client("editor").post(reverse("fit-keep", args=[team.project.slug, fit.pk]), {"kept": "no"})
    fit.refresh_from_db()
    assert not fit.is_kept_current


def test_a_name_full_of_markup_stays_text(team: Team) -> None:
    evil = "<img src=x onerror=alert(1)>"
    fit = fits.fit_of(team.project, team.people["editor"], name=evil)
    for answer in (get(team, "fit", fit.pk), get(team, "scaling"), get(team, "fits-compare", fits=str(fit.pk))):
        assert "<img" not in answer.content.decode()


def test_what_was_foreseen_is_held_against_what_was_measured_later(team: Team) -> None:
    trained.grid(team.project)
    asked = fits.spec(points={"source": "runs", "query": "ladder"})
    fit = fits.fit_of(team.project, team.people["editor"], asked)
    assert "Predicted, then measured" not in text(get(team, "fit", fit.pk))
    trained.outside(1e8, 1e9, where=team.project)
    fits.finish(actions.revise(fit).run)
    assert "Predicted, then measured" in text(get(team, "fit", fit.pk))
    figure = get(team, "fit-figure", fit.pk, "later").json()
    assert "of 1 inside the interval" in figure["layout"]["meta"]["caption"]


def test_a_chained_law_answers_behind_the_first(team: Team) -> None:
    columns = {**fits.columns(), "error": [0.1 + 0.2 * float(loss or 0) for loss in fits.columns()["loss"]]}
    law = {"name": "expression", "expression": "p + q * loss", "y": "error",
           "unknowns": [{"name": "p", "starts": [0]}, {"name": "q", "starts": [0.1]}]}  # fmt: skip
    spec = fits.spec(
        points={"source": "table", "columns": columns}, frontier=[],
        then={"law": law, "objective": {"name": "least_squares"}},
    )  # fmt: skip
    fit = fits.fit_of(team.project, team.people["editor"], spec)
    reading = read(fit.revisions.get().run)
    assert reading is not None
    loss = float(reading.predict({"N": [1e9], "D": [2e10]})[0])
    page = text(get(team, "fit", fit.pk, N="1e9", D="2e10"))
    assert f"error, through loss {metric(0.1 + 0.2 * loss)}" in page  # errors lie on that line exactly


# ---- several


@pytest.fixture
def tied(team: Team) -> Fit:
    spec = fits.spec(law={"name": "chinchilla", "tied": True})
    return fits.fit_of(team.project, team.people["editor"], spec, "tied")


def test_laws_on_the_same_points_are_held_against_each_other(team: Team, fit: Fit, tied: Fit) -> None:
    answer = get(team, "fits-compare", fits=f"{fit.pk},{tied.pk}", role="viewer")
    check("compare", answer)
    page = text(answer)
    assert "2 fits" in page and "ΔAIC, residuals of ln" in page
    assert "different points" not in page
    assert "beta" in page and "overlap" in page
    assert page.count("Caution") == 0


def test_akaikes_difference_is_that_of_normal_residuals(team: Team, fit: Fit, tied: Fit) -> None:
    from math import log

    values = []
    for one, free in ((fit, 5), (tied, 4)):
        statistics = (one.revisions.get().run.result or {})["statistics"]
        values.append(14 * log(statistics["rmse_log"] ** 2) + 2 * (free + 1))
    page = text(get(team, "fits-compare", fits=f"{fit.pk},{tied.pk}"))
    assert f"ΔAIC, residuals of ln {values[0] - min(values):.1f} {values[1] - min(values):.1f}" in page


def test_other_points_are_a_caution_and_forbid_the_criterion(team: Team, fit: Fit) -> None:
    fewer = fits.fit_of(team.project, team.people["editor"], fits.spec(holdout={"largest": 4}), "fewer")
    page = text(get(team, "fits-compare", fits=f"{fit.pk},{fewer.pk}"))
    assert "They were fitted to different points" in page
    assert "AIC" not in page


def test_what_each_foresees_is_told_with_its_difference(team: Team, fit: Fit, tied: Fit) -> None:
    first, second = (read(each.revisions.get().run) for each in (fit, tied))
    assert first is not None and second is not None
    at = {"N": [1e9], "D": [2e10]}
    share = float(second.predict(at)[0]) / float(first.predict(at)[0]) - 1
    page = text(get(team, "fits-compare", fits=f"{fit.pk},{tied.pk}", N="1e9", D="2e10"))
    assert f"tied {metric(float(second.predict(at)[0]))}" in page
    assert (f"{share * 100:+.2f} %" if abs(share) < 0.01 else f"{share * 100:+.1f} %") in page


def test_ticked_boxes_come_one_by_one_and_nothing_chosen_offers_them(team: Team, fit: Fit, tied: Fit) -> None:
    address = reverse("fits-compare", args=[team.project.slug])
    page = plain(team.client("viewer").get(f"{address}?fits={fit.pk}&fits={tied.pk}").content.decode())
    assert "2 fits" in page
    nothing = text(get(team, "fits-compare"))
    assert "Nothing to compare yet" in nothing and "by table" in nothing and "tied" in nothing


def test_curves_are_drawn_of_several_only(team: Team, fit: Fit, tied: Fit) -> None:
    both = get(team, "fits-figure", "compare", fits=f"{fit.pk},{tied.pk}")
    assert {"by table", "tied"} <= {trace.get("name") for trace in both.json()["data"]}
    assert get(team, "fits-figure", "compare", fits=str(fit.pk)).status_code == 404
    assert get(team, "fits-figure", "nonsense", fits=f"{fit.pk},{tied.pk}").status_code == 404
