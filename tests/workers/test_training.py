"""Runs from the ticket to their end through one real worker, controlled as people do."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from django.core.files.storage import default_storage

from tests.workers.scene import series, training_process, wait_for, wait_for_status, wait_for_step
from webapp.metrics import queries
from webapp.runs import actions, blobs
from webapp.runs.models import Artifact, LogLine

STEPS = list(range(1, 21))
LONG = {"steps": 100_000, "checkpoint_every": 0, "eval_every": 0}


@pytest.fixture(scope="module")
def worker(start_worker):
    """Its heartbeats are rare, so what it does at once it has heard from the news."""
    secrets = {"HONE_SECRET_KEY": "x" * 50, "AWS_SECRET_ACCESS_KEY": "y", "PGPASSWORD": "z"}
    return start_worker(HONE_HEARTBEAT_S="10", HONE_SILENT_S="30", **secrets)


def test_a_submitted_run_is_trained_and_everything_it_said_is_kept(worker, submit):
    run = wait_for_status(submit(steps=20), "succeeded")
    loss = queries.raw(run.pk, "train/loss")
    assert loss.steps.tolist() == STEPS
    assert loss.values[-1] < loss.values[0]
    assert run.step == run.steps == 20
    assert run.facts["parameters"]["total"] > 0
    assert run.result["quality"]["eval/loss"] == queries.raw(run.pk, "eval/loss").values[-1]
    assert LogLine.objects.filter(run=run).exists()
    phases = [mark.name for mark in run.attempts.get().phases.all()]
    assert phases[0] == "train"


def test_its_model_and_latest_two_checkpoints_are_in_the_storage(worker, submit):
    run = wait_for_status(submit(steps=20, checkpoint_every=5), "succeeded")
    model = run.artifacts.filter(type=Artifact.Type.MODEL)
    assert {"model/config.json", "model/model.safetensors"} <= set(model.values_list("path", flat=True))
    steps = run.artifacts.filter(type=Artifact.Type.CHECKPOINT).values_list("step", flat=True)
    assert set(steps) == {10, 15}  # the end needs none: the model is there


def test_a_cancelled_run_writes_a_checkpoint_and_ends(worker, submit):
    run = wait_for_step(submit(**LONG), 5)
    actions.cancel(run)
    wait_for_status(run, "cancelled", timeout_s=8)
    assert run.artifacts.get(path__endswith="/model.safetensors", type=Artifact.Type.CHECKPOINT).step == run.step


def test_a_paused_run_goes_on_where_it_was(worker, submit):
    run = wait_for_step(submit(**{**LONG, "steps": 400}), 5)
    actions.pause(run)
    paused_at = wait_for_status(run, "paused").step
    actions.resume(run)
    wait_for_status(run, "succeeded")
    assert queries.raw(run.pk, "train/loss").steps.tolist() == list(range(1, 401))
    assert [attempt.resumed_from_step for attempt in run.attempts.all()] == [None, paused_at]
    assert run.losses == 0


def test_a_run_whose_process_is_killed_is_lost_and_goes_on_from_its_checkpoint(worker, submit):
    spec = {**LONG, "steps": 400, "checkpoint_every": 20, "seed": 7}  # long enough not to end before it is killed
    undisturbed = wait_for_status(submit(**spec), "succeeded")
    run = wait_for_step(submit(**spec), 25)
    os.kill(training_process(worker), signal.SIGKILL)
    wait_for_status(run, "succeeded")
    assert [attempt.status for attempt in run.attempts.all()] == ["lost", "succeeded"]
    assert series(run) == series(undisturbed)


def test_a_run_begins_with_the_model_of_another_and_the_data_that_somebody_gave(worker, submit, tmp_path):
    base = submit(steps=2)
    text = b"".join(b"line %d of a text that a person brought along\n" % n for n in range(400))
    upload = actions.add_upload(project=base.project, user=None, name="mine.txt", chunks=[text])
    lora = submit(
        kind="finetune",
        model={"source": "run", "run": base.pk},
        data={"source": "upload", "upload": upload.pk},
        method={"name": "lora", "rank": 4},
        steps=3,
    )
    merged = submit(kind="finetune", model={"source": "run", "run": lora.pk}, method={"name": "full"}, steps=2)
    parameters = wait_for_status(lora, "succeeded").facts["parameters"]
    assert 0 < parameters["trainable"] < parameters["total"]
    assert lora.artifacts.filter(path="model/adapter_config.json").exists()
    wait_for_status(merged, "succeeded")


def test_what_goes_wrong_before_training_is_the_runs_failure_and_the_worker_goes_on(worker, submit):
    base = wait_for_status(submit(steps=1, seed=99), "succeeded")
    weights = base.artifacts.get(path="model/model.safetensors").blob_id
    default_storage.delete(blobs.name_of(weights))
    run = wait_for_status(submit(kind="finetune", model={"source": "run", "run": base.pk}, steps=1), "failed")
    assert run.error_type == "BlobMissing"
    assert weights in run.error_message
    assert "Traceback" in LogLine.objects.filter(run=run, level="error").get().message
    wait_for_status(submit(steps=1), "succeeded")


def test_a_run_that_was_deleted_is_killed(worker, submit):
    run = wait_for_step(submit(**LONG), 5)
    pid = training_process(worker)
    _assert_keeps_no_secret_and_no_terminal(pid)
    actions.delete(run)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), 20)
    points = queries.raw(run.pk, "train/loss")
    wait_for_status(submit(steps=2), "succeeded")
    assert len(queries.raw(run.pk, "train/loss").steps) == len(points.steps)


def _assert_keeps_no_secret_and_no_terminal(pid: int) -> None:
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    for secret in (b"HONE_SECRET_KEY", b"DATABASE_URL", b"REDIS_URL", b"AWS_SECRET_ACCESS_KEY", b"PGPASSWORD"):
        assert secret not in environment
    assert os.getsid(pid) == pid
