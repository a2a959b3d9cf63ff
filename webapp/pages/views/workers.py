from __future__ import annotations

from typing import NamedTuple

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from webapp.http import PageRequest, is_fragment, require_operator, respond
from webapp.pages import frame, queries
from webapp.runs import actions
from webapp.runs.models import Attempt, Worker


class Row(NamedTuple):
    """A worker as its card shows it. `attempts` are those of projects the reader may see; the rest are counted."""

    worker: Worker
    state: str  # online, draining or silent
    busy: int
    attempts: list[Attempt]
    hidden: int


@require_safe
@login_required
def workers(request: PageRequest) -> HttpResponse:
    return _show(request)


@require_POST
@login_required
def worker_drain(request: PageRequest, worker_id: int) -> HttpResponse:
    return _set_draining(request, worker_id, drain=True)


@require_POST
@login_required
def worker_undrain(request: PageRequest, worker_id: int) -> HttpResponse:
    return _set_draining(request, worker_id, drain=False)


def _set_draining(request: PageRequest, worker_id: int, *, drain: bool) -> HttpResponse:
    require_operator(request)
    worker = get_object_or_404(Worker, pk=worker_id, stopped_at=None)
    (actions.drain if drain else actions.undrain)(worker)
    if is_fragment(request):
        return _show(request)
    messages.success(request, f"{worker.name} " + ("takes no new runs." if drain else "takes runs again."))
    return redirect("workers")


def _show(request: PageRequest) -> HttpResponse:
    context = {"rows": _rows(request), "capacity": frame.counts().capacity}
    return respond(request, "pages/workers.html", "parts/workers.html", context)


def _rows(request: PageRequest) -> list[Row]:
    readable = queries.readable_project_ids(request.user)
    return [_row(worker, readable) for worker in queries.workers_with_attempts()]


def _row(worker: Worker, readable: set[int]) -> Row:
    attempts: list[Attempt] = worker.live_attempts  # type: ignore[attr-defined]
    shown = [attempt for attempt in attempts if attempt.run.project_id in readable]
    busy = sum(attempt.run.gpus for attempt in attempts)
    return Row(worker, _state(worker), busy, shown, len(attempts) - len(shown))


def _state(worker: Worker) -> str:
    if (timezone.now() - worker.heartbeat_at).total_seconds() > settings.SILENT_S:
        return "silent"
    return "draining" if worker.draining else "online"
