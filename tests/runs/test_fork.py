"""A fork goes on from another run's checkpoint: the same weights, state and generators, under another spec."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now

from tests.gpu_jobs.training import LORA, TINY, Bench, Outcome, same
from tests.runs import scene
from webapp.runs import actions, blobs, queries
from webapp.runs.actions import garbage
from webapp.runs.errors import Invalid
from webapp.runs.models import Artifact, Blob, LogLine, Run
from webapp.runs.states import Status
from workers.inputs import fetch_checkpoint

pytestmark = pytest.mark.django_db

MODEL = {
    "source": "config",
    "architecture": "gpt2",
    "layers": 1,
    "width": 16,
    "heads": 2,
    "context": 32,
    "dropout": 0.3,
}
SPEC: dict[str, Any] = {
    **TINY, "model": MODEL, "schedule": {"name": "constant"}, "steps": 6,
    "checkpoint_every": 0, "checkpoint_at_end": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench(tmp_path_factory.mktemp("fork"))


@pytest.fixture(scope="module")
def trained(bench: Bench) -> Outcome:
    """Six steps of a model with dropout."""
    return bench.run(SPEC)


def recorded(outcome: Outcome, spec: dict[str, Any] = SPEC, **about: Any) -> Run:
    """The run of this outcome as a worker would leave it: its facts, its checkpoint in the storage, its end."""
    attempt = scene.claimed(spec=spec, **about)
    actions.started(attempt, outcome.facts, {}, 0, spec["steps"])
    for folder in (outcome.work_dir / "checkpoints").iterdir():
        name, step = f"checkpoints/{folder.name}", int(folder.name.removeprefix("step-"))
        files = [
            actions.NewArtifact(f"{name}/{f.name}", blobs.store(f), "checkpoint", name, step) for f in folder.iterdir()
        ]
        actions.add_artifacts(attempt, files)
    actions.finish(attempt, Status.SUCCEEDED, result={})
    return Run.objects.get(pk=attempt.run_id)


def fork(source: Run, **changes: Any) -> Run:
    return actions.fork(source, user=scene.person(), spec={**source.spec, "steps": 10, **changes}, name="fork")


def go_on(run: Run, bench: Bench, tmp_path: Path) -> Outcome:
    """What its worker does: fetches the checkpoint and trains by the run's spec."""
    folder, step = fetch_checkpoint(run, tmp_path / "resume")
    assert folder is not None and step == 6
    return bench.run(run.spec, resume_from=folder)


def test_with_the_same_spec_it_ends_as_if_the_source_had_gone_on(bench, trained, tmp_path) -> None:
    """Bit for bit, dropout and all."""
    whole = bench.run({**SPEC, "steps": 10})
    rest = go_on(fork(recorded(trained)), bench, tmp_path)
    assert same(rest.weights(), whole.weights())
    assert list(rest.series("train/loss")) == [7, 8, 9, 10]
    assert rest.series("train/loss").items() <= whole.series("train/loss").items()
    assert rest.last.values["tokens"] == whole.last.values["tokens"]


def test_with_another_rate_it_begins_at_the_source_s_weights_and_goes_another_way(bench, trained, tmp_path) -> None:
    """The loss of a step is measured before its update: the first is the source's, the second no more."""
    whole = bench.run({**SPEC, "steps": 10}).series("train/loss")
    changes = {"optimizer": {"name": "adamw", "lr": 0.05, "weight_decay": 0.5}}
    run = fork(recorded(trained), **changes)
    rest = go_on(run, bench, tmp_path)
    assert rest.series("train/loss")[7] == whole[7] and rest.series("train/loss")[8] != whole[8]
    assert set(rest.series("train/lr").values()) == {0.05}
    restored, _ = fetch_checkpoint(run, tmp_path / "again")
    assert restored is not None
    names = {path.name for path in restored.iterdir()}
    for name in names:
        original = trained.work_dir / "checkpoints/step-6" / name
        assert (restored / name).read_bytes() == original.read_bytes()


def test_it_is_queued_and_tells_where_it_comes_from(trained) -> None:
    source = recorded(trained)
    run = actions.fork(
        source, user=scene.person(), spec={**source.spec, "steps": 9}, tags=["t"], priority=3, queue="big", share="s"
    )
    assert (run.status, run.cloned_from, run.project, run.name) == (Status.QUEUED, source, source.project, source.name)
    assert (run.tags, run.priority, run.queue_id, run.share) == (["t"], 3, "big", "s")
    assert (run.step, run.steps) == (6, 9)
    assert LogLine.objects.get(run=run).message == f"Goes on from step 6 of run {source.pk}."
    worker = scene.worker("big", queues=["big"])
    attempt = actions.claim(worker, ["big"], [0])
    assert attempt is not None and (attempt.run_id, attempt.resumed_from_step, attempt.last_step) == (run.pk, 6, 6)


def test_no_byte_is_copied_and_shared_bytes_outlive_the_source(trained, tmp_path, settings) -> None:
    settings.STORAGE_URL = f"file://{tmp_path / 'blobs'}"
    settings.STORAGES = {**settings.STORAGES}
    source = recorded(trained)
    before = set(Blob.objects.values_list("pk", flat=True))
    Blob.objects.update(touched_at=Now() - timedelta(days=2))
    run = fork(source)
    assert set(Blob.objects.values_list("pk", flat=True)) == before
    actions.delete(source)
    Run.objects.filter(pk=source.pk).update(deleted_at=Now() - timedelta(days=30))
    Blob.objects.update(touched_at=Now() - timedelta(days=2))
    assert garbage.collect()[:2] == (1, 0)
    run.refresh_from_db()
    assert run.cloned_from is None and queries.resume_point(run) == ("checkpoints/step-6", 6)
    assert [b"".join(blobs.verified(file.blob)) for file in queries.folder(run, "checkpoints/step-6")]


def test_the_source_s_later_checkpoints_do_not_reach_it(tmp_path) -> None:
    """A source that still trains drops its old checkpoints; the fork keeps the one it was made at."""
    attempt = scene.running()
    scene.checkpoint(attempt, 20, tmp_path)
    run = actions.fork(attempt.run, user=None, spec=attempt.run.spec)
    for step in (40, 60):
        scene.checkpoint(attempt, step, tmp_path)
    assert set(attempt.run.artifacts.values_list("step", flat=True)) == {40, 60}
    assert queries.resume_point(run) == ("checkpoints/step-20", 20)
    assert set(run.artifacts.values_list("path", flat=True)) == {
        "checkpoints/step-20/model.safetensors", "checkpoints/step-20/trainer.json"
    }  # fmt: skip


def refused(source: Run, **changes: Any) -> list[tuple[list[Any], str]]:
    before = Run.objects.count(), Artifact.objects.count(), LogLine.objects.count()
    with pytest.raises(Invalid) as caught:
        actions.fork(source, user=None, spec={**source.spec, "steps": 99, **changes})
    assert (Run.objects.count(), Artifact.objects.count(), LogLine.objects.count()) == before, "nothing is left behind"
    return [(error["loc"], error["msg"]) for error in caught.value.errors]


def test_a_source_without_a_checkpoint_is_refused_with_the_way_out() -> None:
    run = scene.submit()
    [(loc, message)] = refused(run)
    assert loc == ["source"]
    assert message.startswith(f"Run {run.pk} has no checkpoint to go on from. Let it train to its next checkpoint")


def test_an_external_or_deleted_source_is_refused(tmp_path) -> None:
    [(_, message)] = refused(actions.create_external(project=scene.project(), user=None, name="x"))
    assert "external" in message
    attempt = scene.running()
    scene.checkpoint(attempt, 5, tmp_path)
    actions.delete(attempt.run)
    [(_, message)] = refused(Run.objects.get(pk=attempt.run_id))
    assert "no checkpoint" in message


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"seed": 5}, ["spec", "seed"]),
        ({"data": {"source": "builtin", "name": "stdlib-source"}}, ["spec", "data"]),
        ({"model": {**MODEL, "width": 32}}, ["spec", "model"]),
        ({"sequence_length": 8}, ["spec", "sequence_length"]),
        ({"steps": 6}, ["spec", "steps"]),
        ({"steps": 0}, ["spec", "steps"]),
    ],
)
def test_what_the_checkpoint_depends_on_must_stay(trained, changes: dict[str, Any], loc: list[str]) -> None:
    assert loc in [place for place, _ in refused(recorded(trained), **changes)]


def test_another_rank_or_method_is_refused_before_it_is_queued(bench: Bench) -> None:
    spec = {**SPEC, "kind": "finetune", "method": LORA}
    source = recorded(bench.run(spec), spec)
    [(loc, message)] = refused(source, method={**LORA, "rank": 4})
    assert loc == ["spec", "method"] and "same shapes" in message
    assert ["spec", "method", "name"] in [place for place, _ in refused(source, method={"name": "full"})]
    assert fork(source, method={**LORA, "rank": 2, "alpha": 4.0, "dropout": 0.1}).pk
