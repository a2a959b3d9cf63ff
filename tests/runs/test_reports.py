"""What a worker reports of an attempt: started, phases, progress, log lines, the end."""

from __future__ import annotations

import math
import uuid

import pytest
from django.db import transaction

from gpu_jobs.events import Phase
from tests.runs import scene
from webapp.runs import actions, queries
from webapp.runs.errors import Gone
from webapp.runs.models import Attempt, LogLine, Run
from webapp.runs.states import FINAL, Status

pytestmark = pytest.mark.django_db


def test_a_started_run_is_running_with_its_facts() -> None:
    attempt = scene.claimed()
    actions.started(attempt, {"model": {"architecture": "llama"}}, {"seed": 3}, 0, 250)
    run = Run.objects.get(pk=attempt.run_id)
    assert (run.status, run.facts, run.provenance) == (
        Status.RUNNING,
        {"model": {"architecture": "llama"}},
        {"seed": 3},
    )
    assert (run.step, run.steps) == (0, 250)
    assert Attempt.objects.get(pk=attempt.pk).status == Status.RUNNING


def test_what_json_can_not_hold_is_kept_as_words_and_nul_is_dropped() -> None:
    attempt = scene.claimed()
    actions.started(attempt, {"a": [math.nan, math.inf, -math.inf], "s": "x\x00y\ud800"}, {}, 0, None)
    facts = Run.objects.get(pk=attempt.run_id).facts
    assert facts == {"a": ["NaN", "Infinity", "-Infinity"], "s": "xy?"}


def test_phases_carry_the_peak_memory_of_the_phase_before() -> None:
    attempt = scene.running()
    actions.entered_phase(attempt, Phase(name="train", step=0, time=1e9))
    actions.entered_phase(attempt, Phase(name="evaluate", step=100, time=1e9 + 5, peak_memory_bytes=77))
    marks = list(attempt.phases.values_list("name", "step", "peak_memory_bytes"))
    assert marks == [("train", 0, 77), ("evaluate", 100, None)]
    assert Run.objects.get(pk=attempt.run_id).phase == "evaluate"


def test_progress_is_kept_on_the_run_and_the_attempt() -> None:
    attempt = scene.running()
    for step in (1, 2, 3):
        actions.progressed(attempt, step)
    attempt.refresh_from_db()
    assert (attempt.last_step, attempt.run.step) == (3, 3)


def test_log_lines_are_kept_in_order_and_without_nul() -> None:
    attempt = scene.running()
    lines = [actions.LogEntry(1e9 + place, "info", f"line {place}\x00") for place in range(5)]
    actions.logged(attempt, lines)
    rows = list(queries.log_after(attempt.run))
    assert [row.message for row in rows] == [f"line {place}" for place in range(5)]
    assert [row.at.timestamp() for row in rows] == [1e9 + place for place in range(5)]
    assert [row.message for row in queries.log_tail(attempt.run, limit=2)] == ["line 3", "line 4"]
    assert [row.message for row in queries.log_tail(attempt.run, rows[3].pk, limit=2)] == ["line 1", "line 2"]
    assert list(queries.log_after(attempt.run, rows[3].pk)) == rows[4:]


@pytest.mark.parametrize("status", sorted(FINAL - {Status.LOST}))
def test_an_end_is_recorded_on_the_run_and_the_attempt(status) -> None:
    attempt = scene.running()
    run = actions.finish(attempt, status, result={"q": 1.5}, error_type="E", error_message="m")
    attempt.refresh_from_db()
    assert (run.status, run.result, run.error_type, run.error_message) == (status, {"q": 1.5}, "E", "m")
    assert (attempt.status, attempt.error_type) == (status, "E")
    assert run.ended_at is not None and attempt.ended_at is not None


def test_an_end_must_be_final() -> None:
    with pytest.raises(ValueError, match="not 'running'"):
        actions.finish(scene.running(), "running")


def test_a_run_whose_worker_shuts_down_waits_again_without_a_lost_attempt(tmp_path) -> None:
    attempt = scene.running()
    scene.checkpoint(attempt, 12, tmp_path)
    run = actions.stopped(attempt, 12)
    assert (run.status, run.step, run.losses, run.ended_at) == (Status.QUEUED, 12, 0, None)
    again = scene.claim()
    assert again is not None and (again.number, again.resumed_from_step) == (2, 12)


@pytest.mark.parametrize(
    "report",
    [
        lambda attempt: actions.started(attempt, {}, {}, 0, 1),
        lambda attempt: actions.entered_phase(attempt, Phase(name="train", step=0)),
        lambda attempt: actions.progressed(attempt, 9),
        lambda attempt: actions.logged(attempt, [actions.LogEntry(0, "info", "x")]),
        lambda attempt: actions.add_artifacts(attempt, []),
        lambda attempt: actions.finish(attempt, Status.SUCCEEDED, result={}),
        lambda attempt: actions.finish(attempt, Status.LOST),
        lambda attempt: actions.stopped(attempt, 9),
        lambda attempt: actions.touch(attempt),
        lambda attempt: actions.advance(attempt, 4),
        lambda attempt: actions.lock(attempt.pk),
    ],
)
def test_an_attempt_that_is_over_can_write_nothing(report) -> None:
    attempt = scene.running()
    actions.finish(attempt, Status.LOST)
    newer = scene.claim()
    before = Run.objects.values().get(pk=attempt.run_id)
    with pytest.raises(Gone), transaction.atomic():
        report(attempt)
    assert Run.objects.values().get(pk=attempt.run_id) == before
    assert not LogLine.objects.exists()
    assert newer is not None and newer.ended_at is None


def test_the_sequence_of_an_attempt_is_noted_under_its_lock() -> None:
    attempt = scene.running()
    locked = actions.lock(attempt.pk)
    assert locked.sequence == 0
    actions.advance(locked, 41)
    assert actions.lock(attempt.pk).sequence == 41
    with pytest.raises(Gone):
        actions.lock(uuid.uuid4())
