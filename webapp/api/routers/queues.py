"""Queues: who waits where, and whether anything is handed out."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from webapp.accounts.models import User
from webapp.accounts.roles import projects_of
from webapp.api.access import operator_or_403
from webapp.api.auth import user_of
from webapp.api.errors import NotFound
from webapp.api.schemas.system import QueuedRun, QueueList, QueueOutput
from webapp.runs import actions
from webapp.runs.models import Queue, Run
from webapp.runs.queries import queue_order, queues

router = Router()
MOST_RUNS = 500


@router.get("", response=QueueList)
def list_queues(request: HttpRequest) -> QueueList:
    """Every queue with the runs in it that you may see, each with its place among all that wait."""
    user = user_of(request)
    return QueueList(items=[_output(queue, user) for queue in queues()])


@router.get("/{name}", response=QueueOutput)
def get_queue(request: HttpRequest, name: str) -> QueueOutput:
    return _output(_queue(name), user_of(request))


@router.post("/{name}/pause", response=QueueOutput)
def pause_queue(request: HttpRequest, name: str) -> QueueOutput:
    """Nothing is handed out any more; what runs goes on. For administrators."""
    operator_or_403(user_of(request))
    actions.pause_queue(_queue(name).name)
    return _output(_queue(name), user_of(request))


@router.post("/{name}/resume", response=QueueOutput)
def resume_queue(request: HttpRequest, name: str) -> QueueOutput:
    """For administrators."""
    operator_or_403(user_of(request))
    actions.resume_queue(_queue(name).name)
    return _output(_queue(name), user_of(request))


def _queue(name: str) -> Queue:
    queue = queues().filter(name=name).first()
    if queue is None:
        raise NotFound(f"There is no queue {name!r}.")
    return queue


def _output(queue: Queue, user: User) -> QueueOutput:
    shown = queue_order(queue.name).filter(project__in=projects_of(user))[:MOST_RUNS]
    waiting: int = queue.waiting  # type: ignore[attr-defined]
    active: int = queue.active  # type: ignore[attr-defined]
    runs = [_queued(run) for run in shown]
    return QueueOutput(name=queue.name, paused=queue.paused, queued=waiting, active=active, runs=runs)


def _queued(run: Run) -> QueuedRun:
    position: int = run.position  # type: ignore[attr-defined]
    return QueuedRun(
        run=run.pk, position=position, project=run.project.slug, name=run.name, priority=run.priority,
        queued_at=run.queued_at,
    )  # fmt: skip
