"""The winner on seeds and data that had no part in choosing it."""

from __future__ import annotations

from webapp.accounts.errors import Invalid
from webapp.runs.states import FINAL
from webapp.sweeps import winners
from webapp.sweeps.actions.filling import Room, queue_run
from webapp.sweeps.actions.settling import measure
from webapp.sweeps.actions.transitions import tell
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.specs import seeds_of
from webapp.sweeps.states import Role


def winner(sweep: Sweep) -> Trial | None:
    found = winners.best(sweep)
    return Trial.objects.filter(sweep=sweep, number=found.trial).first() if found else None


def has_report(sweep: Sweep, checked: Definition) -> bool:
    """Whether there is something to report that is not reported yet."""
    trial = winner(sweep) if checked.seeds.test else None
    return trial is not None and trial.source != Trial.Source.IMPORTED and bool(_missing(trial, checked))


def report(sweep: Sweep, checked: Definition, room: Room) -> bool:
    """Queues the winner's test seeds and reads their values. True once all are over, or none may begin."""
    trial = winner(sweep)
    if trial is None:
        return True
    for seed in _missing(trial, checked):
        if not room.allows(Role.TEST):
            break
        try:
            room.take(queue_run(trial, sweep, checked, seed, Role.TEST))
        except Invalid as error:
            tell(sweep, f"A test run could not be queued: {error}")
            return True
    items = list(trial.replicates.filter(role=Role.TEST).select_related("run"))
    measure(items, checked, Role.TEST)
    is_over = all(item.run.status in FINAL or item.run.deleted_at for item in items)
    return is_over and (not _missing(trial, checked) or room.refusal is not None)


def _missing(trial: Trial, checked: Definition) -> list[int]:
    have = set(Replicate.objects.filter(trial=trial, role=Role.TEST).values_list("seed", flat=True))
    return [seed for seed in seeds_of(checked.seeds, Role.TEST, checked.seeds.test) if seed not in have]
