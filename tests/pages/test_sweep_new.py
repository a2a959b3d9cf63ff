"""The form of a new sweep: rows, suggestions, errors at their fields, nothing typed is lost."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.http import HttpResponse, QueryDict
from django.urls import reverse

from tests.pages.team import Team
from tests.pages.test_markup import check
from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.pages.forms import dimensions, settings
from webapp.pages.forms.nodes import Block, walk
from webapp.pages.forms.plain import plain_of, plains_of, text_of, texts_of
from webapp.pages.sweeps import draft as drafts
from webapp.sweeps import registry
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep

VALUES: list[Any] = [1, -2, 0.5, 1e-5, True, False, None, "lora", "true", "1", "a, b", 'say "x"', "", " "]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_read_as_it_was_written(value: Any) -> None:
    assert plain_of(text_of(value)) == value
    assert type(plain_of(text_of(value))) is type(value)


def test_choices_are_read_as_they_were_written() -> None:
    assert plains_of("lora, dora, 8, 0.5, true") == ["lora", "dora", 8, 0.5, True]
    assert plains_of(texts_of(VALUES)) == VALUES
    assert texts_of(["lora", 8]) == "lora, 8"


@pytest.mark.parametrize(
    "dimension",
    [
        {"low": 2, "high": 32, "log": True},
        {"low": 1e-5, "high": 0.01, "log": True},
        {"low": 0, "high": 1, "step": 0.25},
        {"choices": ["a, b", 1, None], "when": {"method.name": ["lora", "dora"], "gpus": [1]}},
    ],
)
def test_a_dimension_is_read_as_it_was_written(dimension: dict[str, Any]) -> None:
    data = QueryDict(mutable=True)
    row = dimensions.row_of("optimizer.lr", dimension)
    data.update({f"space-3-{name}": getattr(row, name) for name in dimensions.TEXTS})
    assert dimensions.space_of(dimensions.submitted(data)) == {"optimizer.lr": dimension}


def test_what_a_row_alone_can_tell_is_told_at_its_field() -> None:
    rows = [dimensions.Row("a.b", low="1", high="2"), dimensions.Row("a.b", when="whenever"), dimensions.Row(low="1")]
    assert not dimensions.check(rows)
    assert [sorted(row.errors) for row in rows] == [[], ["path", "when"], ["path"]]


@pytest.mark.parametrize("folder", ["search.samplers", "stoppers"])
def test_every_sampler_and_stopper_shows_its_own_knobs_and_is_read_back(folder: str) -> None:
    for name, entry in registry.entries(folder).items():
        values = {"search": {"sampler": {"name": name}}} if folder != "stoppers" else {"stopper": {"name": name}}
        groups, _ = settings.groups(values)
        group = groups["stopper" if folder == "stoppers" else "sampler"]
        block = next(node for node in walk(group.children) if isinstance(node, Block))
        assert block.selected == name
        assert {node.path[-1] for node in walk(block.children)} >= set(entry.knobs.model_fields) - {"name"}
        data = QueryDict(mutable=True)
        data[block.tag_name] = name
        read = settings.submitted(data)
        assert (read.get("stopper") or read["search"]["sampler"])["name"] == name


def test_an_untouched_form_is_the_definition_with_its_defaults() -> None:
    body = drafts.of_definition(scene.definition()).body
    assert Definition.model_validate(body) == Definition.model_validate(scene.definition())


def test_a_suggestion_fits_the_space_it_comes_into() -> None:
    """A knob of a method counts where the base has that method, or where a row chooses among methods."""
    plain = drafts.opened(runs.SPEC)
    assert "when" not in plain.suggested["optimizer.lr"]
    lora = drafts.of_definition({"spec": {**runs.SPEC, "kind": "finetune", "method": {"name": "lora", "rank": 8}}})
    assert "method.rank" in lora.suggested
    assert (
        "method.rank" not in drafts.of_definition({"spec": {**lora.base.values, "method": {"name": "full"}}}).suggested
    )
    drafts.changed(lora, "add:method.name")
    assert lora.suggested["method.rank"]["when"]["method.name"].count("lora") == 1


# ---- the page

FIELDS = {
    "kind": "pretrain", "mode": "json",
    "spec": '{"kind": "pretrain", "model": {"source": "builtin", "name": "nano"},'
            ' "data": {"source": "builtin", "name": "language-reference"}, "steps": 40}',
    "space-0-path": "optimizer.lr", "space-0-shape": "log", "space-0-low": "1e-4", "space-0-high": "1e-2",
    "space-1-path": "batch_size", "space-1-shape": "choices", "space-1-choices": "4, 8",
    "objective-0-metric": "eval/loss", "objective-0-goal": "minimize", "objective-0-statistic": "last",
    "sweep.search.sampler.name": "tpe", "sweep.stopper.name": "asha", "sweep.stopper.min_steps": "10",
    "sweep.trials": "12", "sweep.seeds.tune": "3", "sweep.concurrency": "2", "sweep.budget.gpu_hours": "0.5",
}  # fmt: skip


def post(team: Team, do: str = "start", **changes: str) -> HttpResponse:
    return team.client("editor").post(
        reverse("sweep-new", args=[team.project.slug]), {**FIELDS, "do": do, "name": "mine", **changes}
    )


def typed(page: str) -> dict[str, str]:
    inputs = re.findall(r'<input[^>]*?\bname="([^"]+)"[^>]*?\bvalue="([^"]*)"', page)
    return dict(inputs)


@pytest.mark.django_db
def test_starting(team: Team) -> None:
    answer = post(team, tags="b, a", constraints="optimizer.lr * batch_size <= 0.05\n\n")
    sweep = Sweep.objects.get()
    assert answer["Location"] == reverse("sweep", args=[team.project.slug, sweep.pk])
    assert (sweep.name, sweep.tags, sweep.created_by) == ("mine", ["a", "b"], team.people["editor"])
    said = sweep.definition
    assert said["search"]["space"]["optimizer.lr"] == {
        "low": 1e-4,
        "high": 1e-2,
        "log": True,
        "step": None,
        "when": None,
    }
    assert said["search"]["space"]["batch_size"]["choices"] == [4, 8]
    assert said["search"]["constraints"] == ["optimizer.lr * batch_size <= 0.05"]
    assert (said["trials"], said["seeds"]["tune"], said["budget"]["gpu_hours"]) == (12, 3, 0.5)
    assert (said["stopper"]["name"], said["stopper"]["min_steps"]) == ("asha", 10)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value", "wrong"),
    [
        ("space-0-low", "slow", "space-0-low"),
        ("space-0-low", "1", "space-0-path"),
        ("space-0-path", "optimizer.nothing", "space-0-path"),
        ("space-1-choices", "", "space-1-choices"),
        ("constraints", "optimizer.lr <= ", "constraints"),
        ("objective-0-metric", "", "objective-0-metric"),
        ("sweep.trials", "none", "sweep.trials"),
        ("sweep.stopper.min_steps", "0", "sweep.stopper.min_steps"),
        ("sweep.budget.deadline", "tomorrow", "sweep.budget.deadline"),
        ("sweep.seeds.tune", "1000", "sweep.seeds.tune"),
    ],
)
def test_a_wrong_value_comes_back_at_its_field_and_nothing_is_lost(
    team: Team, field: str, value: str, wrong: str
) -> None:
    answer = post(team, **{field: value})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert not Sweep.objects.exists()
    controls = re.findall(r"<(?:input|select|textarea)[^>]*>", page)
    flagged = [re.search(r'\bname="([^"]+)"', control) for control in controls if "aria-invalid" in control]
    assert [match.group(1) for match in flagged if match] == [wrong]
    kept = typed(page)
    for name, was in {**FIELDS, "name": "mine", field: value}.items():
        if name in kept:
            assert kept[name] == was.replace('"', "&quot;"), name
    check("again", answer)


@pytest.mark.django_db
def test_what_is_wrong_outside_the_definition_stands_at_its_field_too(team: Team) -> None:
    page = post(team, queue="No Such").content.decode()
    assert "queue must have" in page
    assert 'value="No Such"' in page


@pytest.mark.django_db
def test_a_spec_that_is_wrong_opens_where_it_stands(team: Team) -> None:
    page = post(team, spec="{").content.decode()
    assert "This is not JSON" in page
    assert re.search(r'<details class="advanced sweep-spec"\s+open>', page)


@pytest.mark.django_db
def test_rows_come_and_go_without_a_script(team: Team) -> None:
    page = post(team, do="add").content.decode()
    assert "space-2-path" in page
    page = post(team, do="remove:0").content.decode()
    assert typed(page)["space-0-path"] == "batch_size"
    assert "space-1-path" not in page
    page = post(team, do="objective").content.decode()
    assert "objective-1-metric" in page
    page = post(team, do="add:optimizer.weight_decay").content.decode()
    assert typed(page)["space-2-path"] == "optimizer.weight_decay"
    assert float(typed(page)["space-2-low"]) < float(typed(page)["space-2-high"])


@pytest.mark.django_db
def test_a_known_path_brings_its_bounds_and_keeps_typed_ones(team: Team) -> None:
    new = {"space-2-path": "optimizer.weight_decay", "space-2-shape": "range"}
    page = post(team, do="refresh", **new).content.decode()
    assert typed(page)["space-2-low"] != ""
    page = post(team, do="refresh", **new, **{"space-2-low": "0.3"}).content.decode()
    assert (typed(page)["space-2-low"], typed(page)["space-2-high"]) == ("0.3", "")


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["", "?run=999", "?clone=x", "?kind=finetune"])
def test_the_form_is_clean_markup(team: Team, query: str) -> None:
    address = reverse("sweep-new", args=[team.project.slug]) + query
    check(address, team.client("editor").get(address))


@pytest.mark.django_db
def test_a_run_and_a_sweep_fill_the_form(team: Team) -> None:
    address = reverse("sweep-new", args=[team.project.slug])
    run = runs.submit(team.project, user=team.people["editor"], changes={"steps": 77})
    page = team.client("editor").get(f"{address}?run={run.pk}").content.decode()
    assert typed(page)["steps"] == "77"
    assert typed(page)["space-0-path"] == "optimizer.lr"
    sweep = scene.create(project=team.project, user=team.people["editor"], name="first", trials=9)
    answer = team.client("editor").get(f"{address}?clone={sweep.pk}")
    check(address, answer)
    page = answer.content.decode()
    assert (typed(page)["sweep.trials"], typed(page)["name"]) == ("9", "first")
    assert set(re.findall(r'value="(optimizer\.lr|batch_size)"', page)) == {"optimizer.lr", "batch_size"}


@pytest.mark.django_db
def test_the_plan_counts_points_runs_and_shows_the_first_trial(team: Team) -> None:
    address = reverse("sweep-plan", args=[team.project.slug])
    grid = {
        **FIELDS,
        "space-0-shape": "choices",
        "space-0-choices": "0.001, 0.01, 0.1",
        "sweep.search.sampler.name": "grid",
    }
    page = team.client("editor").post(address, grid).content.decode()
    facts = dict(re.findall(r"<dt>([^<]+)</dt>\s*<dd>\s*([\d,]+)", page))
    assert (facts["Points"], facts["Trials"], facts["Runs"]) == ("6", "6", "18")
    assert "language-reference" in page
    page = team.client("editor").post(address, {**FIELDS, "space-0-low": "slow"}).content.decode()
    assert "One thing is" in page


@pytest.mark.django_db
def test_a_plan_and_a_form_that_is_only_rearranged_write_nothing(team: Team) -> None:
    for do in ("refresh", "add", "json", "base"):
        assert post(team, do=do).status_code == 200
    assert not Sweep.objects.exists()
