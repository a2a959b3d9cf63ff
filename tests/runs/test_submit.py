"""Submitting: a valid spec becomes one queued row, anything else changes nothing and says why."""

from __future__ import annotations

import pytest

from tests.runs import scene
from webapp.accounts import actions as accounts
from webapp.runs import actions
from webapp.runs.errors import Invalid, WrongState
from webapp.runs.models import Queue, Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


def refusal(**fields):
    """The errors of a submission that is refused, after a look that nothing was written."""
    before = Run.objects.count()
    with pytest.raises(Invalid) as caught:
        scene.submit(**fields)
    assert Run.objects.count() == before
    return {tuple(error["loc"]): error["msg"] for error in caught.value.errors}


def test_a_submitted_run_is_queued_with_its_whole_spec() -> None:
    run = scene.submit(name="  my   run ", tags=["b", "a", "b", " "], priority=3)
    assert (run.status, run.kind, run.name, run.tags, run.priority) == (
        Status.QUEUED,
        "pretrain",
        "my run",
        ["a", "b"],
        3,
    )
    assert (run.queue_id, run.gpus, run.steps, run.step) == ("default", 1, 100, 0)
    assert run.spec["steps"] == 100 and run.spec["optimizer"]["name"] == "adamw"  # defaults are written out
    assert run.created_by == scene.person() and run.queued_at is not None


def test_a_run_without_a_name_is_called_after_its_kind_and_method() -> None:
    assert scene.submit().name == "pretrain full"


def test_every_broken_rule_of_a_spec_is_named() -> None:
    data = {"source": "builtin", "name": "nothing"}
    errors = refusal(changes={"steps": 0, "batch_size": -1, "nonsense": 1, "data": data})
    assert set(errors) == {("spec", "steps"), ("spec", "batch_size"), ("spec", "nonsense"), ("spec", "data", "name")}
    assert errors["spec", "steps"] == "Input should be greater than or equal to 1, not 0."


@pytest.mark.parametrize("spec", [{}, {"kind": "dance"}, {"kind": None}])
def test_an_unknown_kind_is_refused(spec) -> None:
    assert all(loc[0] == "spec" for loc in refusal(spec=spec))


def test_every_broken_rule_of_the_fields_is_named_at_once() -> None:
    errors = refusal(name="x" * 201, tags=["a,b"], priority=1001, queue="No Spaces", baseline=12345)
    assert set(errors) == {("name",), ("tags",), ("priority",), ("queue",), ("baseline",)}
    assert not Queue.objects.exists()


def test_a_queue_comes_into_being_when_it_is_first_named() -> None:
    scene.submit(queue="gpu-80gb")
    assert [queue.name for queue in Queue.objects.all()] == ["gpu-80gb"]


def test_the_baseline_must_be_a_run_of_the_same_project() -> None:
    base = scene.submit()
    assert scene.submit(baseline=base).baseline == base
    elsewhere = scene.submit(scene.project("Beta"))
    assert ("baseline",) in refusal(baseline=elsewhere.id)
    actions.delete(base)
    assert ("baseline",) in refusal(baseline=base)


def test_a_run_may_start_from_a_run_that_is_not_done() -> None:
    base = scene.submit()
    run = scene.submit(spec=scene.finetune_of(base))
    assert [(item.name, item.source) for item in run.inputs.all()] == [(f"run:{base.id}", base)]


def test_a_run_may_start_from_a_finished_run_that_holds_a_model(tmp_path) -> None:
    attempt = scene.running()
    scene.model(attempt, tmp_path)
    actions.finish(attempt, Status.FAILED, error_type="X", error_message="late")
    assert scene.submit(spec=scene.finetune_of(attempt.run)).status == Status.QUEUED


def test_a_run_can_not_start_from_a_finished_run_without_a_model() -> None:
    base = scene.submit()
    actions.cancel(base)
    errors = refusal(spec=scene.finetune_of(base))
    assert errors == {("spec", "model", "run"): f"Run {base.id} ended as cancelled and holds no model to start from."}


def test_absent_deleted_and_unreadable_runs_are_told_alike() -> None:
    stranger = accounts.create_user("stranger")
    theirs = scene.submit(scene.project("Theirs", stranger), user=stranger)
    deleted = scene.submit()
    actions.delete(deleted)
    absent = Run(id=999_999)
    messages = {
        refusal(spec=scene.finetune_of(run))[("spec", "model", "run")].replace(str(run.id), "N")
        for run in (theirs, deleted, absent)
    }
    assert messages == {"There is no run N that you can read."}


def test_a_run_may_start_from_a_run_of_another_project_that_the_person_reads() -> None:
    stranger = accounts.create_user("stranger")
    theirs = scene.project("Theirs", stranger)
    base = scene.submit(theirs, user=stranger)
    accounts.set_member(theirs, scene.person(), "viewer")
    assert scene.submit(spec=scene.finetune_of(base)).inputs.get().source == base


def test_an_external_run_is_no_model_to_start_from() -> None:
    external = actions.create_external(project=scene.project(), user=scene.person(), name="x")
    assert "external" in refusal(spec=scene.finetune_of(external))[("spec", "model", "run")]


def test_an_upload_must_be_readable() -> None:
    upload = actions.add_upload(project=scene.project(), user=scene.person(), name="data.txt", chunks=[b"hello"])
    data = {"source": "upload", "upload": upload.id, "format": "text"}
    run = scene.submit(changes={"data": data})
    assert run.inputs.get().upload == upload
    assert ("spec", "data", "upload") in refusal(changes={"data": {**data, "upload": 999_999}})


def test_a_nul_character_is_not_kept() -> None:
    assert scene.submit(name="a\x00b", tags=["t\x00"]).tags == ["t"]


def test_an_external_run_is_running_until_it_is_ended_from_outside() -> None:
    run = actions.create_external(project=scene.project(), user=scene.person(), name="mine", spec={"lr": float("nan")})
    assert (run.status, run.kind, run.spec) == (Status.RUNNING, "external", {"lr": "NaN", "kind": "external"})
    assert run.started_at is not None
    actions.finish_external(run, Status.FAILED, error_message="disk full")
    assert (run.status, run.error_message) == (Status.FAILED, "disk full") and run.ended_at is not None
    with pytest.raises(WrongState, match="can't be ended"):
        actions.finish_external(run, Status.SUCCEEDED)


def test_an_external_run_needs_a_name() -> None:
    with pytest.raises(Invalid, match="name must have"):
        actions.create_external(project=scene.project(), user=scene.person(), name=" ")
