"""Artifacts: folders are complete or absent, the latest two checkpoints stay, models bring their bases."""

from __future__ import annotations

import pytest

from tests.runs import scene
from webapp.runs import actions, blobs, queries
from webapp.runs.errors import PathRefused
from webapp.runs.models import Artifact, Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


def test_the_latest_two_checkpoints_stay(tmp_path) -> None:
    attempt = scene.running()
    assert queries.resume_point(attempt.run) is None
    for step in (10, 20, 30):
        scene.checkpoint(attempt, step, tmp_path)
    folders = attempt.run.artifacts.order_by("folder").values_list("folder", flat=True).distinct()
    assert list(folders) == ["checkpoints/step-20", "checkpoints/step-30"]
    assert queries.resume_point(attempt.run) == ("checkpoints/step-30", 30)
    assert [file.path for file in queries.folder(attempt.run, "checkpoints/step-30")] == [
        "checkpoints/step-30/model.safetensors",
        "checkpoints/step-30/trainer.json",
    ]


def test_a_checkpoint_that_is_written_again_replaces_the_old(tmp_path) -> None:
    attempt = scene.running()
    scene.checkpoint(attempt, 10, tmp_path)
    file = tmp_path / "other"
    file.write_bytes(b"other")
    path = "checkpoints/step-10/model.safetensors"
    entry = actions.NewArtifact(path, blobs.store(file), "checkpoint", "checkpoints/step-10", 10)
    actions.add_artifacts(attempt, [entry])
    assert blobs.read(attempt.run.artifacts.get(path=path).blob) == b"other"
    assert attempt.run.artifacts.count() == 2


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a\\b", "a\x00b", "", "a//b", "a/.", "C:x"])
def test_a_path_that_leads_out_is_refused_and_nothing_is_kept(path, tmp_path) -> None:
    attempt = scene.running()
    file = tmp_path / "f"
    file.write_bytes(b"x")
    blob = blobs.store(file)
    with pytest.raises(PathRefused):
        actions.add_artifacts(attempt, [actions.NewArtifact("fine", blob), actions.NewArtifact(path, blob)])
    with pytest.raises(PathRefused):
        actions.add_artifacts(attempt, [actions.NewArtifact("fine", blob, folder=path or "/")])
    assert not Artifact.objects.exists()


def test_a_runs_inputs_are_the_files_of_the_model_it_starts_from(tmp_path) -> None:
    base = scene.running()
    scene.model(base, tmp_path)
    actions.finish(base, Status.SUCCEEDED, result={})
    run = scene.submit(spec=scene.finetune_of(base.run))
    found = queries.inputs_of(run)
    assert {name: [file.path for file in files] for name, files in found.items()} == {
        f"run:{base.run_id}": ["model/config.json", "model/model.safetensors"]
    }
    assert list(queries.children(base.run)) == [run]


def test_an_adapter_brings_its_base_and_the_base_of_that(tmp_path) -> None:
    def finished(spec, files) -> Run:
        attempt = scene.running(**({"spec": spec} if spec else {}))
        scene.model(attempt, tmp_path, files)
        return actions.finish(attempt, Status.SUCCEEDED, result={})

    adapter = ("adapter_config.json", "adapter_model.safetensors")
    base = finished(None, ("config.json",))
    first = finished(scene.finetune_of(base), adapter)
    second = finished(scene.finetune_of(first), adapter)
    run = scene.submit(spec=scene.finetune_of(second))
    name = f"run:{second.id}"
    found = {key: {file.run_id for file in files} for key, files in queries.inputs_of(run).items()}
    assert found == {name: {second.id}, f"{name}/base": {first.id}, f"{name}/base/base": {base.id}}


def test_an_upload_is_an_input_of_one_file() -> None:
    upload = actions.add_upload(project=scene.project(), user=None, name="C:\\data\\my file.txt", chunks=[b"ab", b"c"])
    assert (upload.name, upload.blob.size) == ("my file.txt", 3)
    run = scene.submit(changes={"data": {"source": "upload", "upload": upload.id, "format": "text"}})
    [file] = queries.inputs_of(run)[f"upload:{upload.id}"]
    assert (file.path, blobs.read(file.blob)) == ("my file.txt", b"abc")


def test_a_run_that_fails_without_a_model_fails_those_that_wait_for_it() -> None:
    base = scene.running()
    child = scene.submit(spec=scene.finetune_of(base.run))
    actions.finish(base, Status.FAILED, error_type="DataError", error_message="no rows")
    child.refresh_from_db()
    assert child.status == Status.FAILED
    assert "ended as failed without a model. Requeue that run first" in child.error_message


def test_a_run_that_is_only_paused_or_lost_for_now_keeps_others_waiting() -> None:
    base = scene.running()
    child = scene.submit(spec=scene.finetune_of(base.run))
    actions.finish(base, Status.LOST)
    child.refresh_from_db()
    assert child.status == Status.QUEUED and queries.waits_for(child) == [base.run]
