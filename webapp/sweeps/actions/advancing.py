"""The engine: brings one sweep as far as it can get now. Everything it knows it reads from Postgres, so that it may be
called at any time, by any number of workers, and end at any line: the next call goes on.
"""

from __future__ import annotations

from django.db import transaction

from webapp.runs.states import FINAL
from webapp.sweeps import queries
from webapp.sweeps.actions.control import runs_of
from webapp.sweeps.actions.filling import Room, failing, fill
from webapp.sweeps.actions.racing import abandon, race
from webapp.sweeps.actions.reporting import has_report, report
from webapp.sweeps.actions.settling import settle
from webapp.sweeps.actions.stopping import stop_early
from webapp.sweeps.actions.transitions import become
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.states import LIVE, OPEN, SweepStatus

SOMETHING_WRONG = (
    "Paused: the last 5 trials have all failed. Look at their messages, mend the spec or the space, resume."
)


def living() -> list[int]:
    """The sweeps that are to be advanced, those of higher priority first."""
    found = Sweep.objects.filter(status__in=LIVE, deleted_at=None).order_by("-priority", "id")
    return list(found.values_list("pk", flat=True))


@transaction.atomic
def advance(sweep_id: int) -> None:
    """Settles trials, stops some early, queues what there is room for, ends the sweep. Does nothing while somebody else
    does it."""
    held = Sweep.objects.select_for_update(skip_locked=True, of=("self",)).select_related("project", "created_by")
    sweep = held.filter(pk=sweep_id, status__in=LIVE, deleted_at=None).first()
    if sweep is None:
        return
    checked = queries.definition(sweep)
    has_ended = settle(sweep, checked)
    stop_early(sweep, checked)
    if sweep.status == SweepStatus.RUNNING and has_ended and failing(sweep):
        become(sweep, SweepStatus.PAUSED, SOMETHING_WRONG)
    if sweep.status == SweepStatus.RUNNING:
        _run(sweep, checked)
    if sweep.status == SweepStatus.REPORTING:
        _report(sweep, checked)


@transaction.atomic
def fail(sweep_id: int, message: str) -> None:
    """Ends a sweep that can't go on."""
    sweep = Sweep.objects.select_for_update().filter(pk=sweep_id, status__in=LIVE).first()
    if sweep is not None:
        become(sweep, SweepStatus.FAILED, message)


def _run(sweep: Sweep, checked: Definition) -> None:
    room = Room(sweep, checked)
    reason = fill(sweep, checked, room)
    if room.has_failed and failing(sweep):
        become(sweep, SweepStatus.PAUSED, SOMETHING_WRONG)
        return
    if reason is None or runs_of(sweep).exclude(status__in=FINAL).exists():
        return
    if _is_open(sweep):  # of a run that has ended just now the next advance will tell
        if room.refusal is not None:
            abandon(sweep, reason)
    elif room.refusal is None and race(sweep, checked):
        return
    elif has_report(sweep, checked):
        become(sweep, SweepStatus.REPORTING, f"{reason} {_to_report(checked)}")
    else:
        become(sweep, SweepStatus.SUCCEEDED, reason)


def _report(sweep: Sweep, checked: Definition) -> None:
    room = Room(sweep, checked)
    if report(sweep, checked, room):
        become(sweep, SweepStatus.SUCCEEDED, room.refusal or _reported(checked))


def _to_report(checked: Definition) -> str:
    each = checked.seeds.test_each
    return f"The best of each {each} runs on its test seeds." if each else "The winner runs on its test seeds."


def _reported(checked: Definition) -> str:
    each = checked.seeds.test_each
    return f"All trials are over and {f'the best of each {each}' if each else 'the winner'} is reported."


def _is_open(sweep: Sweep) -> bool:
    return Trial.objects.filter(sweep=sweep, status__in=OPEN).exists()
