"""What can go wrong in a job. The message is one sentence that says what to change; a person reads it."""

from __future__ import annotations


class JobError(Exception):
    """A job that can't go on. `field` is the spec's field to change ("method.sparsity"), where there is one."""

    def __init__(self, message: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class DataError(JobError):
    """The data can't be read, or don't fit the task."""


class ModelError(JobError):
    """The model can't be found, read or built."""


class MethodError(JobError):
    """The method doesn't fit this model, or its knobs don't fit each other."""


class Diverged(JobError):  # noqa: N818 - an outcome, not a mistake
    """The loss is no longer finite."""
