"""Queues are paused, resumed and put in order by hand."""

from __future__ import annotations

from typing import NamedTuple

from django.db import connection, transaction

from webapp.accounts.errors import Invalid
from webapp.runs import news, tickets
from webapp.runs.actions.claiming import lock_order
from webapp.runs.actions.transitions import announce, require
from webapp.runs.models import Queue, Run
from webapp.runs.queries import queue_order
from webapp.runs.states import Status

SET_RANKS = """
UPDATE runs SET rank = given.rank
FROM unnest(%s::bigint[], %s::int[]) AS given (id, rank)
WHERE runs.id = given.id
"""


class Place(NamedTuple):
    """What a run's place in the order comes from; rows without their specs, because a queue may hold thousands."""

    run_id: int
    priority: int
    rank: int | None


@transaction.atomic
def pause_queue(name: str) -> Queue:
    """It hands out nothing; what runs goes on. Raises Invalid for an unknown queue."""
    return _set_paused(name, True)


@transaction.atomic
def resume_queue(name: str) -> Queue:
    """It hands out runs again, and tickets wake the workers. Raises Invalid for an unknown queue."""
    queue = _set_paused(name, False)
    waiting = Run.objects.filter(queue=queue, status=Status.QUEUED, deleted_at=None).count()
    if waiting:
        tickets.send_on_commit(name, min(waiting, 100))
    return queue


@transaction.atomic
def move(run: Run, position: int) -> Run:
    """Puts a queued run at a position (1 is next) of its queue. Raises WrongState and Invalid.

    It keeps its priority where that allows the position, else takes that of its new neighbour. It and all that now
    stand before it in its priority are ranked, which fixes their order until they are claimed; behind them the projects
    go on taking turns.
    """
    lock_order()
    run.refresh_from_db()
    require(run.status == Status.QUEUED and run.deleted_at is None, run, "moved")
    order = _order(run.queue_id)
    if not 1 <= position <= len(order):
        raise Invalid.field("position", f"position must lie between 1 and {len(order)}, not {position}.")
    others = [place for place in order if place.run_id != run.pk]
    before, after = others[: position - 1], others[position - 1 :]
    priority = _fitting_priority(run.priority, before, after)
    Run.objects.filter(pk=run.pk).update(priority=priority)
    _rank([*before, Place(run.pk, priority, run.rank), *after], run.pk)
    run.refresh_from_db()
    announce(run)
    return run


def _order(queue: str) -> list[Place]:
    rows = queue_order(queue).values_list("pk", "priority", "rank")
    return [Place(run_id, priority, rank) for run_id, priority, rank in rows]


def _fitting_priority(wanted: int, before: list[Place], after: list[Place]) -> int:
    """The nearest to `wanted` that lies between the neighbours'."""
    lowest = after[0].priority if after else wanted
    highest = before[-1].priority if before else max(wanted, lowest)
    return min(max(wanted, lowest), highest)


def _rank(order: list[Place], moved: int) -> None:
    """Ranks 1, 2, ... through the run's priority, down to the run itself and to the last that had a rank before."""
    priority = next(place.priority for place in order if place.run_id == moved)
    group = [place for place in order if place.priority == priority]
    last = max(at for at, place in enumerate(group) if place.run_id == moved or place.rank is not None)
    ranks = {place.run_id: at + 1 for at, place in enumerate(group[: last + 1]) if place.rank != at + 1}
    with connection.cursor() as cursor:
        cursor.execute(SET_RANKS, [list(ranks), list(ranks.values())])


def _set_paused(name: str, paused: bool) -> Queue:
    if not Queue.objects.filter(name=name).update(paused=paused):
        raise Invalid.field("queue", f"There is no queue {name!r}.")
    news.publish_on_commit("all", "queue", {"queue": name, "paused": paused})
    return Queue.objects.get(name=name)
