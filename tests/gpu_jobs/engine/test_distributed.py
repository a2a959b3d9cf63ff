"""Two processes on the CPU, through torch's launcher and gloo: the same result as one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import gpu_jobs
from gpu_jobs.errors import JobError
from gpu_jobs.events import Failed, Histograms, Metrics, Result, Stopped
from gpu_jobs.spec import parse
from tests.gpu_jobs.training import TINY, Bench, Outcome, distance, same


def assert_same_series(run: Outcome, reference: Outcome) -> None:
    """Every point of the run is the reference's, but for the order of sums."""
    for series in ("train/loss", "train/grad_norm", "eval/loss"):
        expected = {step: value for step, value in reference.series(series).items() if step in run.series("train/loss")}
        assert run.series(series) == pytest.approx(expected, rel=1e-4)
    assert run.series("train/tokens").items() <= reference.series("train/tokens").items()


def test_two_processes_give_the_model_that_one_gives(bench: Bench, base: Outcome) -> None:
    run = bench.run({"gpus": 2, "accumulation": 2, "histograms_every": 8})
    assert isinstance(run.last, Result)
    assert [event.step for event in run.of(Histograms)] == [8]
    assert distance(run.weights(), base.weights()) < 1e-5
    assert_same_series(run, base)
    assert run.last.values["parameters"] == base.last.values["parameters"]


def test_a_shared_out_model_is_the_same_and_goes_on_alone_after_a_stop(bench: Bench) -> None:
    """FSDP2. The wish to stop reaches both ranks, they agree on the step, and the checkpoint is of the whole model."""
    changes = {"steps": 100_000, "eval_every": 3, "checkpoint_every": 0, "schedule": {"name": "constant"}}
    shared = {**TINY, **changes, "gpus": 2, "parallel": "fsdp", "accumulation": 2}
    seen, events, context = 0, [], bench.context(should_stop=lambda: seen >= 3)
    for event in gpu_jobs.run(parse(shared), context):
        events.append(event)
        seen += isinstance(event, Metrics)
    first = Outcome(events, context.work_dir)
    assert isinstance(first.last, Stopped)
    step = first.last.step
    assert first.last_step == step

    alone = {**changes, "steps": step + 2, "eval_every": 3}
    whole = bench.run(alone)
    assert_same_series(first, whole)
    resumed = bench.run(alone, resume_from=first.work_dir / f"checkpoints/step-{step}")
    assert list(resumed.series("train/loss")) == [step + 1, step + 2]
    assert_same_series(resumed, whole)


def test_two_optimizers_as_one_do_on_two_processes_what_they_do_on_one(bench: Bench) -> None:
    changes = {"optimizer": {"name": "normuon"}, "steps": 4, "accumulation": 2, "checkpoint_every": 2, "eval_every": 0}
    alone, run = bench.run(changes), bench.run({**changes, "gpus": 2})
    assert distance(run.weights(), alone.weights()) < 1e-5
    resumed = bench.run({**changes, "gpus": 2}, resume_from=run.work_dir / "checkpoints/step-2")
    assert same(resumed.weights(), run.weights())


@pytest.mark.parametrize("name", ["sgd", "diffgrad"])
def test_a_rule_for_each_value_alone_can_be_shared_out(bench: Bench, name: str) -> None:
    changes = {"optimizer": {"name": name}, "steps": 4, "accumulation": 2, "checkpoint_every": 2, "eval_every": 0}
    shared = {**changes, "gpus": 2, "parallel": "fsdp"}
    alone, run = bench.run(changes), bench.run(shared)
    assert distance(run.weights(), alone.weights()) < 1e-5
    resumed = bench.run(shared, resume_from=run.work_dir / "checkpoints/step-2")
    assert same(resumed.weights(), run.weights())


def test_a_rank_s_own_error_is_the_outcome_of_the_run(bench: Bench) -> None:
    run = bench.run({"gpus": 2, "data": {"source": "path", "path": "/gone.txt"}})
    assert isinstance(run.last, Failed)
    assert (run.last.error, run.last.outcome) == ("DataError", "failed")
    assert sum(isinstance(event, Failed) for event in run.events) == 1


def processes_of(work_dir: Path) -> list[psutil.Process]:
    """The processes that work for this folder."""
    every = psutil.process_iter(["cmdline"])
    return [process for process in every if any(str(work_dir) in word for word in process.info["cmdline"] or [])]


def test_a_rank_that_is_killed_is_an_error_and_leaves_nothing_running(bench: Bench) -> None:
    context = bench.context()
    events = gpu_jobs.run(parse({**TINY, "gpus": 2, "steps": 100_000}), context)
    while not isinstance(next(events), Metrics):
        pass
    running = processes_of(context.work_dir)
    victim = next(process for process in running if "gpu_jobs.engine.launcher" not in process.cmdline())
    victim.kill()
    with pytest.raises(RuntimeError, match="a process of the run has crashed") as caught:
        list(events)
    assert not isinstance(caught.value, JobError)
    assert not psutil.wait_procs(running, timeout=10)[1]


def test_no_rank_outlives_the_process_that_started_it(bench: Bench, tmp_path: Path) -> None:
    spec, work = tmp_path / "spec.json", tmp_path / "work"
    spec.write_text(json.dumps({**TINY, "gpus": 2, "steps": 100_000}))
    command = [sys.executable, "-m", "gpu_jobs", "run", spec, "--work", work, "--cache", bench.root / "cache"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert parent.stdout is not None
    assert any(b'"metrics"' in line for line in parent.stdout)
    ranks = [process for process in processes_of(work) if process.pid != parent.pid]
    assert len(ranks) == 3  # the launcher and two ranks
    parent.kill()
    parent.communicate()
    assert not psutil.wait_procs(ranks, timeout=10)[1]
