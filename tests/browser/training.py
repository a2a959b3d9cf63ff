"""What a worker would write of a run, at the pace of a test."""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.db import transaction

from tests.runs import scene
from webapp.accounts.models import Project, User
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs import actions, news
from webapp.runs.models import Attempt, Run


def running(project: Project, user: User, name: str = "watched") -> Attempt:
    return scene.running(where=project, user=user, name=name)


def log_points(run: Run, name: str, steps: Sequence[int], values: Sequence[float] | None = None) -> None:
    """Stores and publishes points as the bridge does."""
    times = [time.time() + 0.001 * place for place in range(len(steps))]
    values = [1 / (1 + step) for step in steps] if values is None else values
    with transaction.atomic():
        store.append(run.pk, {name: Points.of(steps, values, times)})
        told = [repr(value) if value != value else value for value in values]
        news.publish_on_commit(run.pk, "points", {name: {"step": list(steps), "value": told, "time": times}})


def rewind(run: Run, step: int) -> None:
    with transaction.atomic():
        store.rewind(run.pk, step)
        news.publish_on_commit(run.pk, "rewind", {"step": step})


def log_lines(attempt: Attempt, *messages: str, level: str = "info") -> None:
    with transaction.atomic():
        actions.logged(attempt, [actions.LogEntry(time.time(), level, message) for message in messages])
