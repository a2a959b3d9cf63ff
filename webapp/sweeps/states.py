"""The states of a sweep and of a trial, explained where they are defined."""

from __future__ import annotations

from django.db import models


class SweepStatus(models.TextChoices):
    RUNNING = "running"  # asks for points and queues their runs, up to its concurrency
    PAUSED = "paused"  # asks for nothing new; what trains goes on
    REPORTING = "reporting"  # tuning is over; the winner runs on its test seeds
    SUCCEEDED = "succeeded"  # every trial it was to have is over, or its budget is
    STOPPED = "stopped"  # by a person; its runs were cancelled
    FAILED = "failed"  # it can't go on; `end_reason` says why


class TrialStatus(models.TextChoices):
    QUEUED = "queued"  # none of its runs has begun
    RUNNING = "running"
    SUCCEEDED = "succeeded"  # all its tuning seeds have a value
    STOPPED = "stopped"  # early, by the stopper; its checkpoint is kept and it may be resumed
    FAILED = "failed"
    OUT_OF_MEMORY = "out_of_memory"  # a result: the sampler learns that this is bad
    DIVERGED = "diverged"  # a result, likewise
    CANCELLED = "cancelled"  # by a person; the sampler learns nothing from it


class Role(models.TextChoices):
    TUNE = "tune"  # its value chooses the winner
    TEST = "test"  # its value is reported, and chooses nothing


LIVE = frozenset({SweepStatus.RUNNING, SweepStatus.PAUSED, SweepStatus.REPORTING})  # still looked after
OVER = frozenset({SweepStatus.SUCCEEDED, SweepStatus.STOPPED, SweepStatus.FAILED})
OPEN = frozenset({TrialStatus.QUEUED, TrialStatus.RUNNING})
CLOSED = frozenset(TrialStatus) - OPEN
BAD = frozenset({TrialStatus.FAILED, TrialStatus.OUT_OF_MEMORY, TrialStatus.DIVERGED})
