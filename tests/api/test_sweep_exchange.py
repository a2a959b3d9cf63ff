"""Sweeps from and to other tools, as files through the API."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.api.test_access import WANDB
from tests.api.test_errors import refused
from tests.api.test_sweeps import finished
from tests.api.world import Form, World, post
from tests.runs import scene as runs
from webapp.sweeps.models import Replicate, Sweep, Trial

SPEC = json.dumps({**runs.SPEC, "eval_every": 10})


def study_file(folder: Path, count: int = 4) -> bytes:
    """An Optuna storage with a study of `count` finished trials, one failed."""
    path = folder / "study.db"
    study = optuna.create_study(storage=f"sqlite:///{path}", study_name="rates", direction="minimize")
    for number in range(count):
        trial = study.ask()
        rate = trial.suggest_float("optimizer.lr", 1e-4, 1e-2, log=True)
        trial.suggest_categorical("batch_size", [4, 8])
        study.tell(trial, abs(rate - 1e-3)) if number else study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return path.read_bytes()


def exported(world: World, sweep: Sweep, kind: str) -> bytes:
    response = world.client("viewer").get(f"/api/v1/sweeps/{sweep.pk}/export?format={kind}")
    assert response.status_code == 200, response.content
    assert response["Content-Disposition"].startswith("attachment")
    return b"".join(response.streaming_content)


def test_an_optuna_study_comes_along_with_its_trials(tmp_path: Path, world: World) -> None:
    form = Form(format="optuna", project="alpha", spec=SPEC, file=study_file(tmp_path), name="from optuna",
                changes=json.dumps({"trials": 20, "objective": {"metric": "eval/loss"}}))  # fmt: skip
    response = post(world.client("editor"), "/sweeps/import", form)
    assert response.status_code == 201, response.content
    sweep = response.json()
    assert (sweep["name"], sweep["trials"]) == ("from optuna", 20)
    assert set(sweep["search"]["space"]) == {"optimizer.lr", "batch_size"}
    trials = list(Trial.objects.filter(sweep=sweep["id"]))
    assert [trial.source for trial in trials] == ["imported"] * 4
    values = [trial.values[0] for trial in trials if trial.values]
    assert len(values) == 3
    assert sweep["best"]["value"] == min(values)


def test_a_review_creates_nothing_and_its_body_is_accepted(world: World) -> None:
    form = Form(format="wandb", project="alpha", spec=SPEC, file=WANDB.encode(), review="true")
    answer = post(world.client("editor"), "/sweeps/import", form)
    assert answer.status_code == 200, answer.content
    assert not Sweep.objects.exists()
    body = answer.json()["body"]
    assert body["search"]["space"]["optimizer.lr"] == {"low": 1e-4, "high": 1e-2, "log": True}
    assert post(world.client("editor"), "/sweeps", body).status_code == 201


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"spec": "{"}, ["spec"]),
        ({"spec": "[1]"}, ["spec"]),
        ({"spec": ""}, ["spec", "kind"]),
        ({"names": "x"}, ["names"]),
        ({"names": '{"a": "b"}'}, ["names"]),
        ({"study": "a"}, ["study"]),
        ({"changes": '{"trials": 0}'}, ["trials"]),
        ({"format": "ray"}, ["format"]),
        ({"nonsense": "1"}, ["nonsense"]),
    ],
)
def test_a_bad_field_of_the_form_is_told_by_name(change: dict[str, Any], loc: list[Any], world: World) -> None:
    form = Form(**{"format": "wandb", "project": "alpha", "spec": SPEC, "file": WANDB.encode(), **change})
    refused(post(world.client("editor"), "/sweeps/import", form), 422, *loc)
    assert not Sweep.objects.exists()


@pytest.mark.parametrize("kind", ["wandb", "optuna"])
@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"{]", b"", b"SQLite format 3\x00" + b"x" * 200])
def test_a_file_of_another_kind_is_refused_in_a_sentence(kind: str, content: bytes, world: World) -> None:
    form = Form(format=kind, project="alpha", spec=SPEC, file=content)
    response = post(world.client("editor"), "/sweeps/import", form)
    assert response.status_code == 422, response.content
    assert not Sweep.objects.exists()


def test_what_has_no_counterpart_is_told_in_a_review_and_among_the_events(world: World) -> None:
    file = (WANDB + "program: train.py\n").encode()
    form = Form(format="wandb", project="alpha", spec=SPEC, file=file)
    client = world.client("editor")
    notes = post(client, "/sweeps/import", Form(**form, review="true")).json()["notes"]
    assert any("program" in note for note in notes), notes
    sweep = post(client, "/sweeps/import", form).json()["id"]
    told = [event["message"] for event in client.get(f"/api/v1/sweeps/{sweep}/events").json()["items"]]
    assert set(notes) <= set(told)


def test_parameters_get_the_paths_they_have_here(tmp_path: Path, world: World) -> None:
    path = tmp_path / "study.db"
    study = optuna.create_study(storage=f"sqlite:///{path}", direction="minimize")
    study.optimize(lambda trial: trial.suggest_float("lr", 1e-4, 1e-2, log=True), n_trials=2)
    form = Form(format="optuna", project="alpha", spec=SPEC, file=path.read_bytes(), names='{"lr": "optimizer.lr"}')
    sweep = post(world.client("editor"), "/sweeps/import", form).json()
    assert list(sweep["search"]["space"]) == ["optimizer.lr"]
    assert [list(trial.params) for trial in Trial.objects.filter(sweep=sweep["id"])] == [["optimizer.lr"]] * 2


def test_an_export_is_a_study_that_optuna_opens(tmp_path: Path, world: World) -> None:
    sweep = finished(world, trials=3)
    path = tmp_path / "exported.db"
    path.write_bytes(exported(world, sweep, "optuna"))
    storage = f"sqlite:///{path}"
    study = optuna.load_study(study_name=optuna.get_all_study_names(storage)[0], storage=storage)
    ours = {trial.number: trial for trial in Trial.objects.filter(sweep=sweep)}
    assert sorted(trial.value for trial in study.trials) == sorted(trial.values[0] for trial in ours.values())
    best = min(ours.values(), key=lambda trial: trial.values[0])
    assert study.best_params == best.params


def test_a_table_has_a_row_for_every_run(world: World) -> None:
    sweep = finished(world, trials=2, seeds=2)
    rows = list(csv.DictReader(io.StringIO(exported(world, sweep, "csv").decode())))
    lines = [json.loads(line) for line in exported(world, sweep, "jsonl").splitlines()]
    found = Replicate.objects.filter(trial__sweep=sweep).order_by("trial__number", "seed").select_related("trial")
    assert [(int(row["run"]), float(row["values.eval/loss"])) for row in rows] == [
        (item.run_id, item.values[0]) for item in found
    ]
    assert [float(row["params.optimizer.lr"]) for row in rows] == [item.trial.params["optimizer.lr"] for item in found]
    assert [(line["run"], line["params"], line["values"]) for line in lines] == [
        (item.run_id, item.trial.params, {"eval/loss": item.values[0]}) for item in found
    ]
