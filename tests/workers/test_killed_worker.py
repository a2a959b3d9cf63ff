"""A worker that is killed in mid-run: no process is left behind, and another worker finishes the run."""

from __future__ import annotations

import time

import psutil

from tests.workers.scene import processes_of, series, training_process, wait_for, wait_for_status, wait_for_step
from webapp.runs.models import Run

SPEC = {"steps": 400, "checkpoint_every": 20, "seed": 3}  # long enough not to end before the kill


def weights(run: Run) -> str:
    """The SHA-256 of the trained weights."""
    return run.artifacts.get(path="model/model.safetensors").blob_id


def test_a_run_ends_bit_identical_on_another_worker_after_sigkill(start_worker, submit):
    workers = {name: start_worker(name) for name in ("a", "b")}
    undisturbed = wait_for_status(submit(**SPEC), "succeeded")

    run = wait_for_step(submit(**SPEC), 25)
    victim = workers[run.attempts.get().worker_name]
    trainer = psutil.Process(training_process(victim))
    left_behind = [psutil.Process(pid) for pid in processes_of(victim)]
    assert trainer in left_behind
    victim.kill()
    killed_at = time.monotonic()

    _, alive = psutil.wait_procs(left_behind, timeout=5)
    assert not alive, "a training process or its forkserver outlived the worker"
    wait_for(lambda: run.attempts.filter(status="lost").exists(), 30)
    assert time.monotonic() - killed_at < 30
    wait_for_status(run, "succeeded")

    first, second = run.attempts.all()
    assert (first.status, second.status, second.worker_name) == (
        "lost",
        "succeeded",
        ({"a", "b"} - {victim.name}).pop(),
    )
    assert second.resumed_from_step in range(20, 400, 20)
    assert weights(run) == weights(undisturbed)
    assert series(run) == series(undisturbed)
    assert run.losses == 1
