"""Protocols as pages: the list with its costs, the form with its plan, and what a study shows."""

from __future__ import annotations

from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from tests.pages.team import Team
from tests.pages.test_sweep_edit import Filled
from tests.sweeps import scene as sweeps
from tests.sweeps.protocols import staged
from webapp.sweeps import registry, studies
from webapp.sweeps.models import Sweep
from webapp.sweeps.studies import Study

pytestmark = pytest.mark.django_db

SPEC = (
    '{"kind": "pretrain", "model": {"source": "builtin", "name": "nano"}, "data": {"source": "builtin"}, "steps": 100}'
)
FIELDS = {"do": "start", "mode": "json", "kind": "pretrain", "spec": SPEC, "knobs.low": "1e-3", "knobs.high": "1e-1",
          "knobs.points": "3", "knobs.sizes": "1x16, 1x32", "knobs.track": "", "name": "two sizes"}  # fmt: skip


def page(team: Team, name: str, *args: Any, role: str = "editor") -> str:
    answer = team.client(role).get(reverse(name, args=[team.project.slug, *args]))
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def submit(team: Team, **changes: str) -> Any:
    path = reverse("protocol", args=[team.project.slug, "lr_sensitivity"])
    return team.client("editor").post(path, {**FIELDS, **changes})


@pytest.fixture
def study(team: Team) -> Study:
    submit(team)
    found = studies.studies(team.project)[0]
    for sweep in found.sweeps:
        for _ in range(4):
            for run in sweeps.waiting(sweeps.advanced(sweep)):
                sweeps.train(run, 1.0 if run.spec["optimizer"]["lr"] == pytest.approx(0.01) else 2.0)
    return found


def test_the_list_tells_what_each_protocol_costs_and_which_can_not_be_started(team: Team) -> None:
    text = page(team, "protocols", role="viewer")
    for entry in registry.entries("protocols").values():
        assert entry.title in text
    assert "No study yet" in text
    from gpu_jobs import registry as jobs

    if "merge" not in jobs.kinds():
        assert "It needs jobs of kind 'merge', which this installation does not have." in text


@pytest.mark.parametrize("name", sorted(registry.entries("protocols")))
def test_every_protocol_has_a_page_with_its_mathematics(team: Team, name: str) -> None:
    entry = registry.entries("protocols")[name]
    text = page(team, "protocol", name)
    assert entry.title in text and entry.summary in text
    assert ("Start study" in text) != bool(studies.unavailable(entry))


def test_the_plan_names_its_sweeps_and_counts_them(team: Team) -> None:
    path = reverse("protocol-plan", args=[team.project.slug, "lr_sensitivity"])
    text = team.client("editor").post(path, FIELDS).content.decode()
    assert "LR sensitivity 1x16" in text and "LR sensitivity 1x32" in text
    assert "3 trials" in text
    assert not Sweep.objects.exists()


def test_the_plan_says_what_is_still_wrong(team: Team) -> None:
    path = reverse("protocol-plan", args=[team.project.slug, "lr_sensitivity"])
    text = team.client("editor").post(path, {**FIELDS, "knobs.high": "1e-4"}).content.decode()
    assert "high must exceed low" in text


def test_starting_leads_to_the_study(team: Team) -> None:
    answer = submit(team)
    found = studies.studies(team.project)
    assert [one.title for one in found] == ["two sizes"]
    assert answer["Location"] == reverse("protocol-study", args=[team.project.slug, found[0].group])
    assert found[0].knobs.model_dump()["sizes"] == ["1x16", "1x32"]
    assert "two sizes" in page(team, "protocols")


def test_a_wrong_knob_keeps_what_was_typed_and_says_what_is_wrong_there(team: Team) -> None:
    answer = submit(team, **{"knobs.points": "one", "knobs.sizes": "1x16"})
    text = unescape(answer.content.decode())
    assert answer.status_code == 422
    assert 'value="one"' in text and 'value="1x16"' in text
    assert "valid integer" in text
    assert not Sweep.objects.exists()


def test_a_wrong_spec_is_told_at_the_spec(team: Team) -> None:
    answer = submit(team, spec='{"kind": "pretrain"}')
    assert answer.status_code == 422
    assert "This field is required." in answer.content.decode()


def test_a_run_can_be_the_base(team: Team) -> None:
    from tests.runs import scene

    run = scene.submit(team.project, user=team.people["editor"], changes={"steps": 77}, name="my base")
    path = reverse("protocol", args=[team.project.slug, "eval_variance"])
    text = team.client("editor").get(f"{path}?run={run.pk}").content.decode()
    assert 'value="77"' in text and "my base" in text


def test_a_study_without_trials_says_so(team: Team) -> None:
    submit(team)
    text = page(team, "protocol-study", studies.studies(team.project)[0].group)
    assert "There are no trials yet" in text
    assert 'hx-trigger="every 5s"' in text


def test_a_study_shows_its_numbers_its_charts_and_its_sweeps(team: Team, study: Study) -> None:
    text = page(team, "protocol-study", study.group, role="viewer")
    assert "Curves" in text and "Best LR" in text
    assert "Trials succeeded" in text and "6" in text
    assert reverse("protocol-figure", args=[team.project.slug, study.group, "lr_sensitivity"]) in text
    for sweep in study.sweeps:
        assert sweep.name in text
    figure = team.client("viewer").get(
        reverse("protocol-figure", args=[team.project.slug, study.group, "lr_sensitivity"])
    )
    assert [trace["x"] for trace in figure.json()["data"]] == [[0.001, 0.01, 0.1]] * 2


def test_a_chart_of_another_protocol_and_a_study_that_is_gone_are_not_found(team: Team, study: Study) -> None:
    client, slug = team.client("viewer"), team.project.slug
    assert client.get(reverse("protocol-figure", args=[slug, study.group, "best_of_k"])).status_code == 404
    assert client.get(reverse("protocol-study", args=[slug, "nothing"])).status_code == 404
    assert client.get(reverse("protocol", args=[slug, "nothing"])).status_code == 404


FINETUNE = (
    '{"kind": "finetune", "model": {"source": "builtin", "name": "nano"}, "data": {"source": "builtin"}, "steps": 100}'
)
COMPARED = {"do": "start", "mode": "json", "kind": "finetune", "spec": FINETUNE, "name": "",
            "knobs.methods": "lora, full", "knobs.factors": "0.5, 2",
            "knobs.method_rates": '{"lora": [1e-3, 3e-3]}'}  # fmt: skip


def test_the_plan_of_a_comparison_tells_its_budget_and_what_is_left_out(team: Team) -> None:
    path = reverse("protocol-plan", args=[team.project.slug, "method_comparison"])
    text = unescape(team.client("editor").post(path, {**COMPARED, "knobs.held": "flops"}).content.decode())
    assert "FLOPs each: 100 steps of full to " in text
    spec = '{"targets": ["nowhere"], "name": "lora"}'
    fields = {**COMPARED, "spec": FINETUNE.replace('"steps"', f'"method": {spec}, "steps"'), "knobs.method_rates": ""}
    text = unescape(team.client("editor").post(path, fields).content.decode())
    assert "lora is left out: " in text and "2 trials" in text


def test_a_comparison_started_in_the_form_is_one_sweep_with_a_rate_list_for_each_method(team: Team) -> None:
    path = reverse("protocol", args=[team.project.slug, "method_comparison"])
    answer = team.client("editor").post(path, COMPARED)
    assert answer.status_code == 302, answer.content.decode()[:2000]
    (sweep,) = Sweep.objects.all()
    points = sweep.definition["search"]["sampler"]["points"]
    assert {(p["method.name"], p["optimizer.lr"]) for p in points} == {
        ("lora", 1e-3), ("lora", 3e-3), ("full", 5e-4), ("full", 2e-3),
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(registry.entries("protocols")))
def test_the_form_as_it_comes_has_a_plan(team: Team, name: str) -> None:
    """What the browser sends of an untouched form is read as the defaults that it shows."""
    if studies.unavailable(registry.entries("protocols")[name]):
        pytest.skip("it needs a kind of job that is not installed")
    values = Filled(page(team, "protocol", name), "new-study").values
    path = reverse("protocol-plan", args=[team.project.slug, name])
    text = team.client("editor").post(path, values).content.decode()
    if registry.entries("protocols")[name].module.__dict__.get("KIND") == "merge":  # the form comes with another kind
        assert "starts from a spec of kind &#x27;merge&#x27;" in text
        return
    assert "protocol-planned" in text, text


def test_a_study_whose_runs_are_over_offers_what_is_measured_of_them(team: Team, tmp_path: Path) -> None:
    study = staged.study(tmp_path, team.project, team.people["editor"])
    button = "Measure pairs of seeds</button>"
    assert button not in page(team, "protocol-study", study.group)
    staged.finish(study.sweeps[0], tmp_path)
    assert button in page(team, "protocol-study", study.group)
    assert button not in page(team, "protocol-study", study.group, role="viewer")
    path = reverse("protocol-go-on", args=[team.project.slug, study.group])
    text = unescape(team.client("editor").post(path, follow=True).content.decode())
    assert "goes on: 4 trials more." in text and button not in text
    again = unescape(team.client("editor").post(path, follow=True).content.decode())
    assert "There is nothing to go on with" in again
    assert Sweep.objects.count() == 2
