"""`hone sweep`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from tests.api.test_access import WANDB
from tests.api.test_sweep_exchange import study_file
from tests.api.test_sweeps import finished
from tests.api.world import World
from tests.hone.conftest import Hone
from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.sweeps import actions
from webapp.sweeps.models import Sweep, Trial

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({**runs.SPEC, "eval_every": 10}))
    return path


@pytest.mark.parametrize(("name", "dump"), [("sweep.json", json.dumps), ("sweep.yaml", yaml.safe_dump)])
def test_a_sweep_is_created_from_a_file(
    name: str, dump: Callable[[Any], str], hone: Hone, live_world: World, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text(dump(scene.definition()))
    said = hone("sweep", "create", file, "--project", "alpha", "--name", "from here")
    assert said.status == 0, said.err
    sweep = Sweep.objects.get()
    assert (sweep.name, sweep.project_id) == ("from here", live_world.project.pk)
    assert said.lines[0].split() == ["sweep", str(sweep.pk)]


def test_the_sweep_of_the_how_to_is_accepted(hone: Hone, live_world: World, tmp_path: Path) -> None:
    blocks = (ROOT / "docs" / "how-to.md").read_text().split("```")
    (example,) = [block for block in blocks if block.startswith("\nproject: first")]
    file = tmp_path / "sweep.yaml"
    file.write_text(example)
    said = hone("sweep", "create", file, "--project", "alpha")
    assert said.status == 0, said.err
    assert Sweep.objects.get().definition["search"]["space"]["optimizer.lr"]["low"] == 1e-4


def test_a_project_has_to_be_named(hone: Hone, tmp_path: Path) -> None:
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(scene.definition()))
    assert hone("sweep", "create", file).err == "hone: Name the project with --project, or in the file.\n"


def test_a_finished_sweep_is_listed_shown_and_its_trials_ranked(hone: Hone, live_world: World) -> None:
    sweep = finished(live_world, trials=3, seeds={"tune": 2, "test": 2})
    assert "3 succeeded of 3" in hone("sweep", "list", role="viewer").out
    shown = hone("sweep", "show", sweep.pk).out
    told = hone("sweep", "show", sweep.pk, "--json").json
    assert f"{told['best']['value']:.6g}" in shown and "on the test split" in shown
    header, *rows = hone("sweep", "trials", sweep.pk, "--sort", "value").lines
    values = [float(row.split()[2]) for row in rows]
    assert header.split() == ["trial", "status", "value", "interval", "params", "message"]
    assert len(values) == 3 and values == sorted(values)


def test_a_sweep_is_controlled(hone: Hone, live_world: World) -> None:
    number = live_world.sweep.pk
    for words, status in ((["pause"], "paused"), (["resume"], "running"), (["stop"], "stopped")):
        assert hone("sweep", *words, number, "--json").json["status"] == status
    extended = hone("sweep", "extend", number, "--trials", 2, "--budget", "gpu_hours=3", "--json").json
    assert (extended["status"], extended["budget"]["gpu_hours"]) == ("running", 3)
    assert hone("sweep", "requeue-failed", number).out == "0 trials run again.\n"
    assert hone("sweep", "extend", number).status == 1
    assert hone("sweep", "pause", number, role="viewer").status == 1
    assert hone("sweep", "delete", number).status == 0
    assert "no sweep" in hone("sweep", "show", number).err


def test_a_point_is_added_by_hand(hone: Hone, live_world: World) -> None:
    sweep = live_world.paused_sweep
    said = hone("sweep", "add", sweep.pk, "optimizer.lr=1e-3", "batch_size=8")
    assert said.out == "Trial 1 is queued.\n"
    assert Trial.objects.get().params == {"optimizer.lr": 1e-3, "batch_size": 8}
    assert "name=value" in hone("sweep", "add", sweep.pk, "optimizer.lr").err


def test_an_export_is_written_to_a_file(hone: Hone, live_world: World, tmp_path: Path) -> None:
    sweep = finished(live_world, trials=2)
    target = tmp_path / "study.db"
    said = hone("sweep", "export", sweep.pk, "--format", "optuna", "-o", target)
    assert said.status == 0, said.err
    (name,) = optuna.get_all_study_names(f"sqlite:///{target}")
    assert len(optuna.load_study(study_name=name, storage=f"sqlite:///{target}").trials) == 2
    lines = tmp_path / "table.jsonl"
    assert hone("sweep", "export", sweep.pk, "--format", "jsonl", "-o", lines).status == 0
    assert len(lines.read_text().splitlines()) == 2


def test_a_refused_export_leaves_no_file_behind(hone: Hone, live_world: World, tmp_path: Path) -> None:
    target = tmp_path / "study.db"
    assert hone("sweep", "export", 999, "-o", target).err == "hone: There is no sweep 999.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_wandb_configuration_is_reviewed_then_created(
    hone: Hone, live_world: World, tmp_path: Path, spec: Path
) -> None:
    file = tmp_path / "wandb.yaml"
    file.write_text(WANDB)
    words = ("sweep", "create", file, "--wandb", "--project", "alpha", "--spec", spec)
    body = hone(*words, "--review").json["body"]
    assert body["search"]["space"]["optimizer.lr"] == {"low": 1e-4, "high": 1e-2, "log": True}
    assert not Sweep.objects.exists()
    assert hone(*words).status == 0
    assert Sweep.objects.get().definition["objective"][0]["metric"] == "eval/loss"


def test_an_optuna_study_is_imported_with_its_trials(hone: Hone, live_world: World, tmp_path: Path, spec: Path) -> None:
    study_file(tmp_path, 3)
    said = hone("sweep", "create", tmp_path / "study.db", "--optuna", "--project", "alpha", "--spec", spec)
    assert said.status == 0, said.err
    assert Trial.objects.filter(source="imported").count() == 3


def test_watching_ends_with_the_sweep_and_says_whether_it_succeeded(hone: Hone, live_world: World) -> None:
    sweep = finished(live_world, trials=1)
    said = hone("sweep", "watch", sweep.pk, role="viewer")
    assert said.status == 0
    assert said.lines[0].startswith("succeeded: 1 succeeded of 1; best ")


def test_watching_tells_what_changes_while_it_runs(live_world: World, environment: Callable[[str], None]) -> None:
    sweep = live_world.sweep
    environment("viewer")
    command = [sys.executable, "-m", "hone.cli", "sweep", "watch", str(sweep.pk), "--every", "0.1"]
    variables = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "running: 2 queued of 4\n"
        actions.stop(sweep, live_world.owner)
        rest = watching.stdout.read().splitlines()
    sweep.refresh_from_db()
    assert rest[-2:] == ["stopped: 2 cancelled of 4", sweep.end_reason]
    assert watching.returncode == 1
