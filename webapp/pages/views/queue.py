"""Who is next, in each queue. The order is the one that the workers' claim uses."""

from __future__ import annotations

from typing import NamedTuple

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Role
from webapp.accounts.roles import role_of
from webapp.http import PageRequest, is_fragment, require_operator, require_role, respond
from webapp.pages import queries
from webapp.runs import actions
from webapp.runs.errors import WrongState
from webapp.runs.models import Attempt, Queue, Run
from webapp.runs.queries import queue_order

SHOWN = 200  # rows a queue; the rest is counted


class Row(NamedTuple):
    """A waiting run. `readable` is False for runs of projects the reader is no member of: place and size only."""

    run: Run
    position: int
    readable: bool
    movable: bool


class Line(NamedTuple):
    """One queue as the page shows it."""

    queue: Queue
    rows: list[Row]
    waiting: int
    running: list[Attempt]
    hidden_running: int

    @property
    def running_count(self) -> int:
        return len(self.running) + self.hidden_running

    @property
    def not_shown(self) -> int:
        return self.waiting - len(self.rows)


@require_safe
@login_required
def queue(request: PageRequest) -> HttpResponse:
    return _show(request)


@require_POST
@login_required
def queue_move(request: PageRequest, run_id: int) -> HttpResponse:
    """Puts a waiting run at `position` (1 is next), by editors of its project."""
    run = _run_to_move(request, run_id)
    position = request.POST.get("position", "")
    if not position.isdecimal() or not 1 <= int(position) < 2**31:
        return HttpResponseBadRequest(f"position must be a whole number from 1 on, not {position!r}.")
    try:
        actions.move(run, int(position))
    except (WrongState, Invalid) as error:
        messages.warning(request, str(error))
    return _answer(request)


@require_POST
@login_required
def queue_pause(request: PageRequest, name: str) -> HttpResponse:
    require_operator(request)
    actions.pause_queue(get_object_or_404(Queue, name=name).name)
    return _answer(request)


@require_POST
@login_required
def queue_resume(request: PageRequest, name: str) -> HttpResponse:
    require_operator(request)
    actions.resume_queue(get_object_or_404(Queue, name=name).name)
    return _answer(request)


def _answer(request: PageRequest) -> HttpResponse:
    return _show(request) if is_fragment(request) else redirect("queue")


def _show(request: PageRequest) -> HttpResponse:
    return respond(request, "pages/queue.html", "parts/queue.html", {"lines": _lines(request)})


def _run_to_move(request: PageRequest, run_id: int) -> Run:
    run = get_object_or_404(Run.objects.select_related("project"), pk=run_id, deleted_at=None)
    role = role_of(request.user, run.project)
    if role is None:
        raise Http404
    require_role(run.project, role, Role.EDITOR)
    return run


def _lines(request: PageRequest) -> list[Line]:
    readable, editable = queries.readable_project_ids(request.user), queries.editable_project_ids(request.user)
    return [_line(queue, readable, editable) for queue in Queue.objects.all()]


def _line(queue: Queue, readable: set[int], editable: set[int]) -> Line:
    waiting = queue_order(queue.name).select_related("created_by")
    rows = [
        Row(run, run.position, run.project_id in readable, run.project_id in editable)  # type: ignore[attr-defined]
        for run in waiting[:SHOWN]
    ]
    live = list(queries.live_attempts(queue.name))
    running = [attempt for attempt in live if attempt.run.project_id in readable]
    return Line(queue, rows, waiting.count(), running, len(live) - len(running))
