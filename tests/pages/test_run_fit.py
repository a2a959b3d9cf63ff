"""What a run page tells of a scaling fit: numbers with intervals, doubts as notes, and what all of it rests on."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from tests.pages import fits
from tests.pages.team import Team
from tests.pages.test_markup import check
from tests.pages.test_run_page import html, text
from webapp.pages.runs.facts import NOTHING
from webapp.pages.scaling.cells import amount, power, span
from webapp.pages.scaling.result import fitted_of
from webapp.pages.scaling.warnings import notes_of
from webapp.pages.templatetags.hone import metric
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(team: Team) -> Run:
    return fits.run_of(team.project, team.people["editor"])


def test_the_strip_says_the_parameters_with_their_intervals_and_the_error(team: Team, run: Run) -> None:
    assert run.result is not None
    page, told = text(html(team, run)), run.result
    low, high = told["intervals"]["alpha"]["low"], told["intervals"]["alpha"]["high"]
    assert f"\u03b1 parameters {metric(told['parameters']['alpha'])} {metric(low)} to {metric(high)}" in page
    assert f"E irreducible {metric(told['parameters']['E'])}" in page
    assert f"N* ∝ C^a {metric(told['derived']['a'])}" in page
    assert "Held-out error" in page and "its interval" in page
    best = told["frontier"][0]
    assert f"Budget 1e20 {amount(best['N'])} parameters · {amount(best['D'])} tokens" in page


def test_every_table_is_there_and_the_objective_is_always_stated(team: Team, run: Run) -> None:
    assert run.result is not None
    page, objective = text(html(team, run)), run.result["objective"]
    for title in ("Parameters", "Predictions", "Compute-optimal frontier", "Held out", "What it rests on"):
        assert title in page
    assert f"delta 0.001: {objective['value']:.6g} over 14 points" in page
    assert "none: every complete row was fitted" in page
    assert "the 2 rows with the largest C" in page
    assert "95 %, from 60 resamples of 14 rows, seed 0" in page
    assert "16 points · 2 held out" in page
    check("run", team.client("viewer").get(reverse("run", args=[team.project.slug, run.pk])))


def test_far_predictions_are_doubted_in_words_that_say_what_to_do(team: Team, run: Run) -> None:
    page = text(html(team, run))
    assert "Extrapolates 1 of 1 predictions lie more than 10 times outside the points" in page
    assert "A larger run near that place would make them safe." in page


def test_warnings_of_one_code_are_one_note_and_a_chained_law_says_so() -> None:
    doubts = [{"code": "not_identified", "message": "A is not."}, {"code": "not_identified", "message": "B is not."}]
    told: dict[str, Any] = {"warnings": doubts, "then": {"warnings": [{"code": "pole", "message": "At N = 3."}]}}
    notes = notes_of(told)
    assert [note.title for note in notes] == ["Not identified", "Second law: Pole"]
    assert notes[0].text.startswith("A is not. B is not. Add runs that vary more")


def test_without_draws_there_is_no_interval_and_it_says_so(team: Team) -> None:
    asked = fits.spec(bootstrap={"resamples": 0}, holdout=None, predict=[], frontier=[])
    page = text(html(team, fits.run_of(team.project, team.people["editor"], asked)))
    assert "no interval" in page
    assert "none: no resample was drawn" in page
    assert "of the fitted points; none was held out" in page
    assert "Held out nothing: every point was fitted" in page


def test_a_held_parameter_is_told_as_held(team: Team) -> None:
    asked = fits.spec(law={"name": "chinchilla", "fixed": {"E": 1.7}}, bootstrap={"resamples": 0})
    page = text(html(team, fits.run_of(team.project, team.people["editor"], asked)))
    assert "E irreducible 1.7 held at this value" in page


def test_several_minima_are_a_table(team: Team, run: Run) -> None:
    assert run.result is not None
    first = run.result["minima"][0]
    second = {"value": 1.005 * first["value"], "relative": 0.005, "parameters": {**first["parameters"], "A": 999.0}}
    run.result["minima"] = [first, second]
    found = fitted_of(run)
    assert found is not None
    table = next(table for table in found.tables if table.name == "minima")
    assert [row[0].text for row in table.rows] == ["1 (reported)", "2"]
    assert "999" in [cell.text for cell in table.rows[1]] and table.rows[1][2].text == "0.5 %"


def test_a_chained_law_brings_its_parameters_and_its_statements(team: Team) -> None:
    points = {"source": "table", "columns": {**fits.columns(), "error": _errors()}}
    then = {"law": {"name": "expression", "expression": "a + b * loss", "y": "error",
                    "unknowns": [{"name": "a", "starts": [0]}, {"name": "b", "starts": [0.1]}]},
            "objective": {"name": "least_squares"}}  # fmt: skip
    asked = fits.spec(points=points, then=then, frontier=[])
    page = text(html(team, fits.run_of(team.project, team.people["editor"], asked)))
    assert "Parameters of Expression" in page
    assert "Objective, second law sum of (measured - predicted)²" in page
    assert "error, measured" in page


def _errors() -> list[float]:
    return [0.1 + 0.2 * float(loss or 0) for loss in fits.columns()["loss"]]


def test_a_run_of_another_kind_has_no_fit(team: Team) -> None:
    run = Run(kind="pretrain", project=team.project, result={"parameters": {"total": 3}})
    assert fitted_of(run) is None and fitted_of(Run(kind="scaling_fit", project=team.project)) is None


def test_numbers_are_written_with_their_size() -> None:
    assert (amount(7e10), amount(0.347812), amount(5.76e23), amount(None)) == ("70 B", "0.3478", "5.76e23", NOTHING)
    assert (power(5.76e23), power(1e21)) == ("5.76e23", "1e21")
    assert (span([1.0, 2.5]), span({"low": 1.0, "high": None}), span(None)) == ("1 to 2.5", NOTHING, NOTHING)
