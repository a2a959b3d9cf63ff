"""The winners on seeds and data that had no part in choosing them."""

from __future__ import annotations

from collections.abc import Sequence

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


def has_report(sweep: Sweep, checked: Definition) -> bool:
    """Whether there is something to report that is not reported yet."""
    return bool(_missing(winners.reported(sweep, checked), checked))


def report(sweep: Sweep, checked: Definition, room: Room) -> bool:
    """Queues the winners' test seeds and reads their values. True once all are over, or none may begin."""
    trials = winners.reported(sweep, checked)
    for trial, seed in _missing(trials, checked):
        if not room.allows(Role.TEST):
            break
        try:
            room.take(queue_run(trial, sweep, checked, seed, Role.TEST))
        except Invalid as error:
            tell(sweep, f"A test run could not be queued: {error}")
            return True
    items = list(Replicate.objects.filter(trial__in=trials, role=Role.TEST).select_related("run"))
    measure(items, checked, Role.TEST)
    is_over = all(item.run.status in FINAL or item.run.deleted_at for item in items)
    return is_over and (not _missing(trials, checked) or room.refusal is not None)


def _missing(trials: Sequence[Trial], checked: Definition) -> list[tuple[Trial, int]]:
    """Trial and seed of the runs that are not queued yet."""
    have = set(Replicate.objects.filter(trial__in=trials, role=Role.TEST).values_list("trial", "seed"))
    seeds = seeds_of(checked.seeds, Role.TEST, checked.seeds.test)
    return [(trial, seed) for trial in trials for seed in seeds if (trial.pk, seed) not in have]
