"""The best trial of a sweep, and what is known of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import FloatField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from webapp.sweeps.definition import Definition, sign
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.states import Role, TrialStatus
from webapp.sweeps.statistics import Interval, interval

FIRST_VALUE = Cast(KeyTextTransform(0, "values"), FloatField())  # of a trial, as measured


class Best(NamedTuple):
    """The winner: chosen by `values` (tuning seeds, evaluation split), reported by `test` (test seeds, test split)."""

    trial: int
    params: dict[str, Any]
    values: list[float]
    intervals: list[Interval | None]
    test: list[Interval | None] | None


def best(sweep: Sweep) -> Best | None:
    return best_of([sweep])[sweep.pk]


def best_of(sweeps: Iterable[Sweep]) -> dict[int, Best | None]:
    """The trial with the best mean of each (with several objectives: the best first value); None without one.

    Four queries, however many sweeps.
    """
    wanted = {sweep.pk: Definition.model_validate(sweep.definition) for sweep in sweeps}
    winners = [*_winners(wanted, 1.0), *_winners(wanted, -1.0)]
    told: dict[tuple[int, str], list[list[float]]] = defaultdict(list)
    seeds = Replicate.objects.filter(trial__in=winners, values__isnull=False).order_by("role", "seed")
    for trial_id, role, values in seeds.values_list("trial_id", "role", "values"):
        told[trial_id, role].append(list(values or ()))
    found: dict[int, Best | None] = dict.fromkeys(wanted)
    for trial in winners:
        checked = wanted[trial.sweep_id]
        tune, test = (_intervals(told[trial.pk, role], checked) for role in (Role.TUNE, Role.TEST))
        unknown: list[Interval | None] = [None] * len(checked.objective)
        found[trial.sweep_id] = Best(
            trial.number, trial.params, list(trial.values or ()), tune or unknown, test or None
        )
    return found


def reported(sweep: Sweep, checked: Definition) -> list[Trial]:
    """The trials that run on test seeds: the best, or with `test_each` the best of every choice at that path. What was
    imported has no runs here, and is passed over."""
    if not checked.seeds.test:
        return []
    finished = Trial.objects.filter(sweep=sweep, status=TrialStatus.SUCCEEDED, values__isnull=False)
    ranked, path = FIRST_VALUE * sign(checked.objective[0]), checked.seeds.test_each
    if path is None:
        first = finished.order_by(ranked, "number").first()
        return [first] if first is not None and first.source != Trial.Source.IMPORTED else []
    own = finished.exclude(source=Trial.Source.IMPORTED).filter(params__has_key=path)
    each = own.annotate(choice=KeyTextTransform(path, "params")).order_by("choice", ranked, "number").distinct("choice")
    return sorted(each, key=lambda trial: trial.number)


def _winners(wanted: dict[int, Definition], turned: float) -> list[Trial]:
    """The best trial of each sweep whose first objective has this sign."""
    sweeps = [pk for pk, checked in wanted.items() if sign(checked.objective[0]) == turned]
    finished = Trial.objects.filter(sweep__in=sweeps, status=TrialStatus.SUCCEEDED, values__isnull=False)
    return list(finished.order_by("sweep", FIRST_VALUE * turned, "number").distinct("sweep"))


def _intervals(seeds: list[list[float]], checked: Definition) -> list[Interval | None]:
    return [interval(column, checked.seeds.confidence) for column in zip(*seeds, strict=True)]
