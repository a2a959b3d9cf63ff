"""Once every point has its first seeds: more of them for those that may still be the best."""

from __future__ import annotations

from webapp.sweeps import queries, replicates
from webapp.sweeps.actions.settling import open_trials
from webapp.sweeps.actions.transitions import close
from webapp.sweeps.definition import Definition, sign
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.states import TrialStatus


def race(sweep: Sweep, checked: Definition) -> bool:
    """Gives the contenders with the fewest seeds one more: they are open again until it has a value. Whether any is."""
    if not checked.seeds.racing:
        return False
    finished = Trial.objects.filter(sweep=sweep, status=TrialStatus.SUCCEEDED).exclude(source=Trial.Source.IMPORTED)
    trials = {trial.pk: trial for trial in finished}
    sampled = {pk: columns[0] for pk, columns in queries.samples(sweep).items() if pk in trials}
    wanted = replicates.wanted(checked.seeds, sampled, sign(checked.objective[0]))
    more = {pk: seeds for pk, seeds in wanted.items() if seeds > trials[pk].seeds}
    for pk, seeds in more.items():
        Trial.objects.filter(pk=pk).update(seeds=seeds, status=TrialStatus.RUNNING, ended_at=None)
    return bool(more)


def abandon(sweep: Sweep, reason: str) -> None:
    """Nothing more may begin: trials that lack seeds are judged by those they have; without any they are cancelled."""
    for trial, items in open_trials(sweep):
        Trial.objects.filter(pk=trial.pk).update(seeds=max(1, len(items)))
        if not items:
            close(trial, TrialStatus.CANCELLED, reason)
