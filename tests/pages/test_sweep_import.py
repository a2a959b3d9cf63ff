"""An Optuna study or a W&B sweep fills the form of a new sweep, and its trials come along."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests.pages.team import Team
from tests.pages.test_markup import check
from tests.pages.test_sweep_edit import Filled
from tests.runs import scene as runs
from webapp.sweeps.models import Sweep, Trial

pytestmark = pytest.mark.django_db

YAML = """
method: random
metric: {name: eval/loss, goal: minimize}
parameters:
  optimizer.lr: {distribution: log_uniform_values, min: 0.0001, max: 0.01}
  batch_size: {values: [4, 8]}
run_cap: 7
"""


@pytest.fixture
def study(tmp_path: Path) -> bytes:
    path = tmp_path / "study.db"
    made = optuna.create_study(storage=f"sqlite:///{path}", study_name="old", direction="minimize")
    made.set_metric_names(["eval/loss"])
    made.optimize(lambda trial: (trial.suggest_float("lr", 1e-4, 1e-2, log=True) - 1e-3) ** 2, n_trials=5)
    return path.read_bytes()


def address(team: Team) -> str:
    return reverse("sweep-import", args=[team.project.slug])


def test_the_page_is_clean_markup_and_asks_for_something_to_read(team: Team) -> None:
    client = team.client("editor")
    check("import", client.get(address(team)))
    answer = client.post(address(team), {"text": " "})
    assert answer.status_code == 422
    assert "Choose a file, or paste the YAML below." in answer.content.decode()


@pytest.mark.parametrize("as_file", [True, False])
def test_a_wandb_sweep_fills_the_form_on_the_chosen_run(team: Team, as_file: bool) -> None:
    run = runs.submit(team.project, changes={"steps": 33})
    given = {"file": SimpleUploadedFile("sweep.yaml", YAML.encode())} if as_file else {"text": YAML}
    answer = team.client("editor").post(address(team), {**given, "run": run.pk})
    check("filled", answer)
    values = Filled(answer.content.decode(), "new-sweep").values
    assert (values["steps"], values["sweep.trials"], values["sweep.search.sampler.name"]) == ("33", "7", "random")
    assert {values["space-0-path"], values["space-1-path"]} == {"optimizer.lr", "batch_size"}
    assert not Sweep.objects.exists()


def test_a_study_brings_its_trials_which_follow_their_knobs_when_renamed(team: Team, study: bytes) -> None:
    run = runs.submit(team.project)
    file = SimpleUploadedFile("study.db", study)
    answer = team.client("editor").post(address(team), {"file": file, "run": run.pk})
    page = answer.content.decode()
    assert "5 trials come along" in page
    values = Filled(page, "new-sweep").values
    assert values["space-0-path"] == "lr"
    new = reverse("sweep-new", args=[team.project.slug])
    answer = team.client("editor").post(new, {**values, "space-0-path": "optimizer.lr", "do": "start"})
    assert answer.status_code == 302, answer.content.decode()
    trials = list(Trial.objects.filter(sweep=Sweep.objects.get()))
    assert {trial.source for trial in trials} == {Trial.Source.IMPORTED}
    assert [set(trial.params) for trial in trials] == [{"optimizer.lr"}] * 5


@pytest.mark.parametrize(
    ("name", "content"), [("study.db", b"no database"), ("sweep.yaml", b"\xff\xfe"), ("sweep.yml", b"parameters: [")]
)
def test_a_file_that_can_not_be_read_is_told_at_its_field(team: Team, name: str, content: bytes) -> None:
    answer = team.client("editor").post(address(team), {"file": SimpleUploadedFile(name, content)})
    assert answer.status_code == 422
    assert 'class="errorlist" id="id_file_error"' in answer.content.decode()
    assert not Sweep.objects.exists()
