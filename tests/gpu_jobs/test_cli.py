"""`python -m gpu_jobs` by hand, on a machine that has nothing of the web."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpu_jobs import cost, registry
from gpu_jobs.__main__ import main
from gpu_jobs.events import Result, Started, decode
from gpu_jobs.spec import parse
from tests.gpu_jobs.training import TINY, Bench, Outcome, same

ROOT = Path(__file__).resolve().parents[2]
# Runs the command as `python -m gpu_jobs` does, with every package of the web blocked.
ALONE = """
import runpy, sys
for name in ("django", "ninja", "celery", "kombu", "psycopg", "redis", "plotly", "webapp", "workers", "hone"):
    sys.modules[name] = None
runpy.run_module("gpu_jobs", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(TINY))
    return path


def start(*arguments: Any, code: str = ALONE) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def test_a_run_by_hand_prints_events_and_nothing_else(bench: Bench, base: Outcome, spec: Path, tmp_path: Path) -> None:
    process = start("run", spec, "--work", tmp_path / "work", "--cache", bench.root / "cache")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    events = [decode(line.encode()) for line in output.splitlines()]
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Result)
    assert same(Outcome(events, tmp_path / "work").weights(), base.weights())


def test_sigterm_stops_it_with_a_checkpoint(bench: Bench, spec: Path, tmp_path: Path) -> None:
    spec.write_text(json.dumps({**TINY, "steps": 1_000_000, "eval_every": 0, "checkpoint_every": 0}))
    process = start("run", spec, "--work", tmp_path / "work", "--cache", bench.root / "cache")
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["type"] == "metrics":
            break
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    *_, saved, _, stopped = map(json.loads, rest.splitlines())
    assert (saved["type"], stopped["type"]) == ("checkpoint", "stopped")
    assert (tmp_path / "work" / saved["folder"] / "state.json").is_file()


def test_plan_prints_what_the_library_plans(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(spec)]) == 0
    assert json.loads(capsys.readouterr().out) == cost.plan(parse(TINY)).model_dump()


def test_methods_lists_every_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [[family, name] for family in registry.families() for name in registry.methods(family)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"kind": "pretrain"}', "pretrain.model: Field required"),
        ("{", "Expecting property name"),
    ],
)
def test_a_bad_spec_is_one_sentence_and_exit_code_2(
    text: str, complaint: str, spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec.write_text(text)
    assert main(["plan", str(spec)]) == 2
    assert complaint in capsys.readouterr().err


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
