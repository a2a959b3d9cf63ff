"""The states of a run, explained where they are defined (DESIGN section 4 draws the arrows between them)."""

from __future__ import annotations

from django.db import models


class Status(models.TextChoices):
    QUEUED = "queued"  # waits in Postgres for a slot
    STARTING = "starting"  # claimed by a worker; its process is being prepared
    RUNNING = "running"  # the training code has sent its first event
    PAUSING = "pausing"  # asked to stop at the next step and to keep a checkpoint
    PAUSED = "paused"  # holds a checkpoint; resume puts it back into the queue
    CANCELLING = "cancelling"  # asked to stop for good; a checkpoint is written first
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # an error; `error` says what to change
    CANCELLED = "cancelled"
    OUT_OF_MEMORY = "out_of_memory"  # a result, not an accident: the plan page says what would fit
    DIVERGED = "diverged"  # the loss is not finite
    LOST = "lost"  # its worker fell silent; requeued at once while attempts are left


ACTIVE = frozenset({Status.STARTING, Status.RUNNING, Status.PAUSING, Status.CANCELLING})
FINAL = frozenset(
    {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.OUT_OF_MEMORY, Status.DIVERGED, Status.LOST}
)
STOPPABLE = frozenset({Status.QUEUED, Status.STARTING, Status.RUNNING, Status.PAUSING, Status.PAUSED})
PAUSABLE = frozenset({Status.QUEUED, Status.STARTING, Status.RUNNING})
REQUEUEABLE = FINAL - {Status.SUCCEEDED}
