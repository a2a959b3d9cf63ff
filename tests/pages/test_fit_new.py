"""The form of a fit: what is typed as lines, what it finds before it is queued, and nothing lost where it is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.urls import reverse

from tests.pages import fits
from tests.pages.team import Team
from tests.pages.test_markup import check
from tests.pages.test_run_page import text
from tests.runs import scene
from tests.scaling import scene as trained
from webapp.pages.scaling import typed
from webapp.runs.models import Run, Upload
from webapp.scaling.models import Fit

pytestmark = pytest.mark.django_db

TABLE = typed.table_text(fits.columns())
FIELDS = {
    "law.name": "chinchilla", "points.source": "table", "points.columns": TABLE, "objective.name": "huber_log",
    "holdout.is_set": "yes", "holdout.largest": "2", "bootstrap.resamples": "60", "do": "fit", "name": "pasted",
}  # fmt: skip


def post(team: Team, route: str = "fit-new", /, *args: Any, **changes: Any) -> HttpResponse:
    address = reverse(route, args=[team.project.slug, *args])
    return team.client("editor").post(address, FIELDS | changes)  # type: ignore[return-value]


def page(answer: HttpResponse) -> str:
    return text(answer.content.decode())


def test_a_pasted_table_becomes_a_fit_and_its_first_revision_is_queued(team: Team) -> None:
    answer = post(team, predict="N,D\n7e10,1.4e12", frontier="1e21, 1e22")
    fit = Fit.objects.get()
    assert answer["Location"] == reverse("fit", args=[team.project.slug, fit.pk])
    assert (fit.name, fit.spec["points"]["columns"]) == ("pasted", fits.columns())
    assert fit.spec["predict"] == [{"N": 7e10, "D": 1.4e12}] and fit.spec["frontier"] == [1e21, 1e22]
    assert (fit.spec["holdout"]["largest"], fit.spec["bootstrap"]["resamples"]) == (2, 60)
    assert fit.revisions.get().run.status == "queued"


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"points.columns": "N,D,loss\n1,2"}, "points.columns", "Line 2 has 2 values, the header 3."),
        ({"predict": "N,D\n7e10"}, "predict", "Line 2 has 1 values, the header 2."),
        ({"points.compute": "N is large"}, "points.compute", "Each line is a name, = and what it is"),
        ({"law.fixed": "Z = 3"}, "law", "has no parameter"),
        ({"bootstrap.resamples": "many"}, "bootstrap.resamples", "valid integer"),
        ({"points.filter": "N >"}, "points.filter", "filter"),
        ({"frontier": "-1"}, "", "budgets must be positive"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_lost(team: Team, changes: Any, field: str, said: str) -> None:
    answer = post(team, **changes)
    assert answer.status_code == 422 and not Fit.objects.exists()
    check("fit-new", answer)
    html = answer.content.decode()
    assert said in text(html)
    name, value = next(iter(changes.items()))
    assert value.replace(">", "&gt;") in html  # as it was typed
    assert TABLE in html or name == "points.columns"
    if field and field != "law":
        place = html.index(f'name="{field}"')
        assert said in text(html[place : place + 2500])


def test_every_law_has_a_form(team: Team) -> None:
    from gpu_jobs import registry

    for name in registry.methods("laws"):
        answer = team.client("editor").get(reverse("fit-new", args=[team.project.slug]), {"law": name})
        assert answer.status_code == 200
        check(name, answer)  # type: ignore[arg-type]


def test_a_law_is_typed_as_an_expression(team: Team) -> None:
    law = {
        "law.name": "expression", "law.expression": "E + A / N**alpha",
        "law.unknowns": "E log: -1, 0, 1\nA log: 2, 6, 10\nalpha: 0.1, 0.3",
    }  # fmt: skip
    assert post(team, **law).status_code == 302
    assert Fit.objects.get().spec["law"]["unknowns"] == [
        {"name": "E", "log": True, "starts": [-1.0, 0.0, 1.0]},
        {"name": "A", "log": True, "starts": [2.0, 6.0, 10.0]},
        {"name": "alpha", "log": False, "starts": [0.1, 0.3]},
    ]


def test_the_form_turns_into_json_and_back(team: Team) -> None:
    as_json = post(team, do="json", **{"points.compute": "M2 = D / N"})
    html = as_json.content.decode()
    assert "&quot;M2&quot;: &quot;D / N&quot;" in html and "Spec as JSON" in html
    spec = fits.spec()
    back = post(team, do="form", mode="json", spec=json.dumps(spec))
    assert TABLE in back.content.decode()
    wrong = post(team, mode="json", spec='{"kind": "pretrain"}')
    assert wrong.status_code == 422 and "this is the spec of a fit" in page(wrong)


def test_a_file_is_uploaded_where_the_points_are_chosen(team: Team) -> None:
    file = SimpleUploadedFile("points.csv", TABLE.encode())
    answer = post(team, do="upload", file=file, **{"points.source": "upload"})
    upload = Upload.objects.get()
    assert f'<option value="{upload.pk}"' in answer.content.decode()
    told = post(team, "fit-preview", **{"points.source": "upload", "points.upload": str(upload.pk)})
    assert "Fitted 14 points, 5 parameters Held out 2" in page(told)


def test_the_run_form_puts_an_upload_into_the_points_too(team: Team) -> None:
    file = SimpleUploadedFile("points.csv", TABLE.encode())
    fields = {"kind": "scaling_fit", "points.source": "upload", "do": "upload", "file": file}
    address = reverse("run-new", args=[team.project.slug])
    html = team.client("editor").post(address, fields).content.decode()
    place = html.index('name="points.upload"')
    assert f'value="{Upload.objects.get().pk}"' in html[place:] and "selected" in html[place : place + 900]


# ---- the preview


def test_the_preview_says_law_points_and_ranges(team: Team) -> None:
    told = post(team, "fit-preview")
    check("preview", told)
    said = page(told)
    assert "L(N, D) = E + A / N^alpha + B / D^beta" in said
    assert "N parameters D tokens loss what it explains" in said
    assert "Fitted 14 points, 5 parameters Held out 2" in said
    assert "N 10 M to 300 M" in said


def test_the_preview_names_what_is_wrong_with_the_points(team: Team) -> None:
    said = page(post(team, "fit-preview", **{"points.columns": "size,loss\n1,2\n3,4"}))
    assert "there is no column" in said and "size, loss" in said
    assert "holdout.largest" in page(post(team, "fit-preview", **{"holdout.largest": "-1"}))


def test_the_preview_looks_runs_up(team: Team) -> None:
    runs = {"points.source": "runs", "points.query": "ladder", "holdout.is_set": ""}
    assert "No run that has succeeded" in page(post(team, "fit-preview", **runs))
    for place, loss in enumerate((3.0, 2.5, 2.25)):
        trained.trained({**scene.SPEC, "steps": 10 * (place + 1)}, loss, where=team.project)
    said = page(post(team, "fit-preview", **runs))
    assert "Runs found 3 Fitted 3 points, 5 parameters" in said
    assert "loss 2.25 to 3" in said
    assert "No run that has succeeded" in page(post(team, "fit-preview", **(runs | {"points.query": "nothing"})))


def test_an_empty_query_is_every_run(team: Team) -> None:
    trained.trained({**scene.SPEC}, 3.0, where=team.project)
    runs = {"points.source": "runs", "points.query": "", "holdout.is_set": ""}
    assert "Runs found 1" in page(post(team, "fit-preview", **runs))


def test_the_preview_reads_no_upload_of_another_project(team: Team) -> None:
    other = scene.project("Other")
    from webapp.runs.actions import add_upload

    foreign = add_upload(project=other, user=scene.person(), name="secret.csv", chunks=[TABLE.encode()])
    said = page(post(team, "fit-preview", **{"points.source": "upload", "points.upload": str(foreign.pk)}))
    assert f"There is no upload {foreign.pk} in Code models." in said and "10 M" not in said


# ---- opened by a link, and edited


def test_links_fill_the_form_in(team: Team) -> None:
    fit = fits.fit_of(team.project, team.people["editor"])
    address = reverse("fit-new", args=[team.project.slug])
    client = team.client("editor")
    copied = client.get(address, {"clone": str(fit.pk)}).content.decode()
    assert TABLE in copied and 'value="by table, copy"' in copied
    of_run = client.get(address, {"run": str(fit.revisions.get().run_id)}).content.decode()
    assert "50000000,10000000,6.4385" in of_run  # a run's spec has its keys in Postgres' order: D, N, loss
    asked = client.get(address, {"query": "ladder-3", "law": "kaplan"}).content.decode()
    assert 'value="ladder-3"' in asked and 'value="kaplan"\n                    selected' in asked


def test_editing_another_spec_queues_another_revision(team: Team) -> None:
    fit = fits.fit_of(team.project, team.people["editor"])
    address = reverse("fit-edit", args=[team.project.slug, fit.pk])
    shown = team.client("editor").get(address)
    check("fit-edit", shown)  # type: ignore[arg-type]
    assert TABLE in shown.content.decode()
    post(team, "fit-edit", fit.pk, name="renamed", **{"law.tied": "true"})
    fit.refresh_from_db()
    assert (fit.name, fit.spec["law"]["tied"], fit.revisions.count()) == ("renamed", True, 2)
    wrong = post(team, "fit-edit", fit.pk, **{"points.columns": "nonsense"})
    assert wrong.status_code == 422 and fit.revisions.count() == 2


def test_a_name_alone_is_changed_without_a_revision(team: Team) -> None:
    fit = fits.fit_of(team.project, team.people["editor"])
    post(team, "fit-edit", fit.pk, mode="json", spec=json.dumps(fit.spec), name="only named")
    fit.refresh_from_db()
    assert (fit.name, fit.revisions.count(), Run.objects.count()) == ("only named", 1, 1)


# ---- lines


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_table_is_read_with_any_usual_delimiter(sign: str) -> None:
    pasted = f"N{sign}name{sign}loss\n1e3{sign}a{sign}2.5\n\n2e3{sign}{sign}nan\n"
    assert typed.columns_of(pasted) == {"N": [1000.0, 2000.0], "name": ["a", None], "loss": [2.5, None]}


def test_what_is_written_is_read_again() -> None:
    for name, value in {
        "columns": fits.columns(),
        "predict": [{"N": 1e9, "D": 2e10}, {"N": 3.5, "D": 1.0}],
        "compute": {"N": "`Model Size`", "D": "C / (6 * N)"},
        "fixed": {"E": 1.69},
        "unknowns": [{"name": "A", "log": True, "starts": [1.0, 2.0]}, {"name": "b", "starts": [0.5]}],
    }.items():
        assert typed.read(name, typed.FORMS[name].write(value)) == value
        assert typed.read(name, json.dumps(value)) == value


@pytest.mark.parametrize(
    ("name", "text_", "said"),
    [
        ("columns", "N,N\n1,2", "name each column once"),
        ("columns", "N,D", "a line for each point"),
        ("columns", "{not json", "not JSON"),
        ("fixed", "E 1.69", "is a name, ="),
        ("unknowns", "A of 3", "is a name, perhaps log"),
    ],
)
def test_a_line_that_can_not_be_read_is_named(name: str, text_: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        typed.read(name, text_)
