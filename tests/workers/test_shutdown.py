"""A worker that is asked to stop: what it works on writes a checkpoint and waits in its queue for the next worker."""

from __future__ import annotations

import os
import signal

from tests.workers.scene import series, wait_for_status, wait_for_step
from webapp.runs.models import Worker

SPEC = {"steps": 400, "checkpoint_every": 0, "eval_every": 0}


def test_ctrl_c_in_the_terminal_stops_with_a_checkpoint_and_the_next_worker_goes_on(start_worker, submit):
    worker = start_worker("a")
    run = wait_for_step(submit(**SPEC), 20)
    os.killpg(worker.process.pid, signal.SIGINT)  # a terminal sends it to the whole process group
    assert worker.process.wait(40) == 0

    run.refresh_from_db()
    stopped_at = run.step
    assert run.status == "queued"
    assert run.losses == 0
    assert set(run.artifacts.values_list("step", flat=True)) == {stopped_at}
    assert Worker.objects.get(name="a").stopped_at

    following = start_worker("b")
    wait_for_status(run, "succeeded")
    assert run.attempts.last().resumed_from_step == stopped_at
    assert [step for step, _ in series(run)["train/loss"]] == list(range(1, 401))
    assert following.stop() == 0
