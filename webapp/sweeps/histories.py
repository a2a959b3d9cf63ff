"""What samplers are told of a sweep's trials, read anew only as far as it may have changed."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

from django.db.models import Max, Q, QuerySet

from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.search.asking import Observation
from webapp.sweeps.states import OPEN, TrialStatus

MOST_SWEEPS = 20
MARGIN = timedelta(minutes=5)  # a trial's end carries the time at which its transaction began, not that of its commit
FIELDS = ("number", "params", "status", "values", "parent__number", "generation")
_known: OrderedDict[tuple[int, datetime], dict[int, Observation]] = (
    OrderedDict()
)  # of this process, by sweep and number


def observations(sweep: Sweep) -> list[Observation]:
    """All trials as a sampler sees them, by number.

    What is known of trials that have been over for a while is not read again: 5,000 of them are 10,000 JSON values.
    """
    known = _known.setdefault((sweep.pk, sweep.created_at), {})
    _known.move_to_end((sweep.pk, sweep.created_at))
    while len(_known) > MOST_SWEEPS:
        _known.popitem(last=False)
    trials = Trial.objects.filter(sweep=sweep)
    for number, params, status, *rest in _changed(trials, known).values_list(*FIELDS):
        known[number] = Observation(number, params, TrialStatus(status), *rest)
    return [known[number] for number in sorted(known)]


def _changed(trials: QuerySet[Trial], known: dict[int, Observation]) -> QuerySet[Trial]:
    """Those that are open or were when last looked at, that ended lately, and new ones."""
    latest = trials.aggregate(latest=Max("ended_at"))["latest"]
    was_open = [number for number, one in known.items() if one.status in OPEN]
    changed = Q(status__in=OPEN) | Q(number__in=was_open) | Q(number__gt=max(known, default=0))
    return trials.filter(changed | Q(ended_at__gte=latest - MARGIN) if latest else changed)
