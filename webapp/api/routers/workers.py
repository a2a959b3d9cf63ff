"""Workers: what runs where, and whether they take more."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from webapp.accounts.models import User
from webapp.accounts.roles import projects_of
from webapp.api.access import LARGEST_ID, operator_or_403
from webapp.api.auth import user_of
from webapp.api.errors import NotFound
from webapp.api.schemas.system import WorkerList, WorkerOutput, WorkerRun
from webapp.runs import actions, queries
from webapp.runs.models import Attempt, Worker

router = Router()


@router.get("", response=WorkerList)
def list_workers(request: HttpRequest) -> WorkerList:
    """Those that have not signed off, with the runs that you may see."""
    readable = _readable(user_of(request))
    return WorkerList(items=[_output(worker, readable) for worker in _workers()])


@router.post("/{int:worker_id}/drain", response=WorkerOutput)
def drain_worker(request: HttpRequest, worker_id: int) -> WorkerOutput:
    """It finishes what it has and takes no new runs. For administrators."""
    operator_or_403(user_of(request))
    actions.drain(_worker(worker_id))
    return _output(_worker(worker_id), _readable(user_of(request)))


@router.post("/{int:worker_id}/undrain", response=WorkerOutput)
def undrain_worker(request: HttpRequest, worker_id: int) -> WorkerOutput:
    """It takes runs again. For administrators."""
    operator_or_403(user_of(request))
    actions.undrain(_worker(worker_id))
    return _output(_worker(worker_id), _readable(user_of(request)))


def _workers() -> QuerySet[Worker]:
    return queries.workers().filter(stopped_at=None)


def _worker(worker_id: int) -> Worker:
    worker = _workers().filter(pk=worker_id).first() if worker_id <= LARGEST_ID else None
    if worker is None:
        raise NotFound(f"There is no worker {worker_id}.")
    return worker


def _readable(user: User) -> set[int]:
    return set(projects_of(user).values_list("id", flat=True))


def _output(worker: Worker, readable: set[int]) -> WorkerOutput:
    live: list[Attempt] = worker.live  # type: ignore[attr-defined]
    runs = [
        WorkerRun(run=attempt.run_id, attempt=attempt.number, step=attempt.run.step, steps=attempt.run.steps)
        for attempt in live
        if attempt.run.project_id in readable
    ]
    return WorkerOutput(
        id=worker.pk, name=worker.name, hostname=worker.hostname, slots=worker.slots, queues=worker.queues,
        busy=sum(attempt.run.gpus for attempt in live), devices=worker.devices, versions=worker.versions,
        draining=worker.draining, alive=timezone.now() - worker.heartbeat_at < timedelta(seconds=settings.SILENT_S),
        started_at=worker.started_at, heartbeat_at=worker.heartbeat_at, runs=runs,
    )  # fmt: skip
