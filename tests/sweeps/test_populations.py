"""A population as a whole: proposed, forked and trained by the real engine, its trials the only record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from tests.gpu_jobs.training import TINY, Bench, Outcome, same
from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.accounts.errors import Invalid
from webapp.runs import actions, blobs
from webapp.runs.models import Run
from webapp.sweeps.models import Sweep, Trial
from workers.inputs import fetch_checkpoint

pytestmark = pytest.mark.django_db

SPEC: dict[str, Any] = {
    **TINY, "schedule": {"name": "constant"}, "eval_every": 2, "checkpoint_every": 0, "checkpoint_at_end": True,
}  # fmt: skip
SEARCH = {
    "sampler": {"name": "pbt", "population": 3, "interval_steps": 4, "quantile": 0.34, "resample": 0.0},
    "space": {"optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True}},
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench(tmp_path_factory.mktemp("population"))


def train(run: Run, bench: Bench, tmp_path: Path) -> Outcome:
    """What a worker does with a run, in this process."""
    actions.move(run, 1)
    attempt = runs.claim(runs.worker("sweeps"))
    assert attempt is not None and attempt.run_id == run.pk
    folder, step = fetch_checkpoint(run, tmp_path / str(run.pk))
    outcome = bench.run(run.spec, resume_from=folder)
    actions.started(attempt, outcome.facts, {}, step, run.spec["steps"])
    for kept in (outcome.work_dir / "checkpoints").iterdir():
        name, at = f"checkpoints/{kept.name}", int(kept.name.removeprefix("step-"))
        files = [
            actions.NewArtifact(f"{name}/{f.name}", blobs.store(f), "checkpoint", name, at) for f in kept.iterdir()
        ]
        actions.add_artifacts(attempt, files)
    scene.log(attempt, "eval/loss", outcome.series("eval/loss"))
    scene.end(attempt)
    return outcome


def create(**changes: Any) -> Sweep:
    fields = {"spec": SPEC, "search": SEARCH, "trials": 6, "concurrency": 3, **changes}
    with transaction.atomic():
        return scene.create(**fields)


def test_members_go_on_from_checkpoints_of_the_best(bench, tmp_path) -> None:
    sweep, outcomes = create(), {}
    while scene.advanced(sweep).ended_at is None:
        for run in scene.waiting(sweep):
            outcomes[run.pk] = train(run, bench, tmp_path)
    members = {trial.pk: trial for trial in Trial.objects.filter(sweep=sweep)}
    run_of = {trial.pk: Run.objects.get(replicate__trial=trial) for trial in members.values()}
    first = sorted((one for one in members.values() if not one.generation), key=lambda one: one.values[0])
    second = [one for one in members.values() if one.generation == 1]
    assert [len(first), len(second)] == [3, 3] and all(one.status == "succeeded" for one in members.values())
    assert sorted(one.parent_id for one in second) == sorted([first[0].pk, first[0].pk, first[1].pk])
    for child in second:
        run, parent = run_of[child.pk], run_of[child.parent_id]
        assert run.cloned_from == parent and run.attempts.get().resumed_from_step == 4
        assert list(outcomes[run.pk].series("train/loss")) == [5, 6, 7, 8]
    copy = next(one for one in second if one.params != members[one.parent_id].params)
    factor = copy.params["optimizer.lr"] / first[0].params["optimizer.lr"]
    assert factor == pytest.approx(0.8) or factor == pytest.approx(1.2)
    itself = next(one for one in second if one.parent_id == first[1].pk)
    whole = bench.run({**run_of[itself.pk].spec})
    assert same(outcomes[run_of[itself.pk].pk].weights(), whole.weights()), "as if it had never been two runs"


def test_a_sweep_whose_runs_can_t_go_on_from_each_other_is_refused() -> None:
    with pytest.raises(Invalid, match="choose constant"):
        create(spec={**SPEC, "schedule": {"name": "cosine"}})
    with pytest.raises(Invalid, match=r"model\.width can't change") as caught:
        create(search={**SEARCH, "space": {"model.width": {"low": 16, "high": 32}}})
    assert caught.value.errors[0]["loc"] == ["search", "space", "model.width"]
