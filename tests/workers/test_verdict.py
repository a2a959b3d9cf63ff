"""What is said of a training process that ended without a last word."""

from __future__ import annotations

import signal

import pytest

from gpu_jobs.events import Failed, Stopped
from workers.entries import Lost
from workers.verdict import verdict

NOTHING = {"asked_to_stop": False, "out_of_memory": False, "step": 7, "printed": []}


@pytest.mark.parametrize("code", [-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, 255])
def test_a_process_ended_from_outside_is_lost_and_tried_again(code):
    assert isinstance(verdict(code, **NOTHING), Lost)


def test_a_process_killed_by_the_kernel_for_memory_is_out_of_memory():
    said = verdict(-signal.SIGKILL, **{**NOTHING, "out_of_memory": True})
    assert isinstance(said, Failed)
    assert said.outcome == "out_of_memory"
    assert "batch_size" in said.message


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS"])
def test_a_crash_is_the_runs_own_failure_and_names_the_signal(name):
    said = verdict(-signal.Signals[name], **NOTHING)
    assert isinstance(said, Failed)
    assert (said.outcome, said.error) == ("failed", "Crash")
    assert name in said.message


def test_a_process_that_was_killed_after_its_grace_period_has_stopped_at_its_checkpoint():
    said = verdict(-signal.SIGKILL, **{**NOTHING, "asked_to_stop": True})
    assert isinstance(said, Stopped)
    assert said.step == 7


def test_an_exception_is_told_with_its_class_and_sentence():
    printed = [
        "Traceback (most recent call last):",
        '  File "x.py", line 1',
        "numpy.linalg.LinAlgError: Singular matrix",
    ]
    said = verdict(1, **{**NOTHING, "printed": printed})
    assert isinstance(said, Failed)
    assert (said.error, said.message) == ("LinAlgError", "Singular matrix")
    assert "Traceback" in said.traceback


def test_a_silent_exit_is_told_with_its_status():
    said = verdict(3, **NOTHING)
    assert isinstance(said, Failed)
    assert "3" in said.message
    said = verdict(0, **NOTHING)
    assert isinstance(said, Failed)
    assert "without a result" in said.message
