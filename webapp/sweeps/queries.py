"""Every read of sweeps: who sees them, how they stand, what stoppers and samplers are told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from django.db.models import Count, QuerySet

from webapp.accounts.models import User
from webapp.accounts.roles import projects_of
from webapp.metrics.queries import raw_of, summaries
from webapp.metrics.summary import Summary
from webapp.runs.models import Run
from webapp.sweeps.curves import Curve
from webapp.sweeps.definition import Definition, Objective, sign, signs
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.specs import test_metric
from webapp.sweeps.states import CLOSED, Role, TrialStatus
from webapp.sweeps.statistics import Interval, interval

COUNTED = {"parameters/trainable": "trainable", "parameters/total": "total"}


class Standing(NamedTuple):
    """A trial among the others. `values[k]` are objective k's values over the tuning seeds; `rank` from 1, None without
    a full set of values. With several objectives the rank is that of its front: 1 is dominated by nobody."""

    trial: Trial
    values: list[list[float]]
    intervals: list[Interval | None]
    rank: int | None


class Best(NamedTuple):
    """The winner: chosen by `values` (tuning seeds, evaluation split), reported by `test` (test seeds, test split)."""

    trial: int
    params: dict[str, Any]
    values: list[float]
    intervals: list[Interval | None]
    test: list[Interval | None] | None


def visible(user: User) -> QuerySet[Sweep]:
    """The sweeps that a person can read, deleted ones left out."""
    found = Sweep.objects.filter(deleted_at=None, project__in=projects_of(user))
    return found.select_related("project", "created_by")


def definition(sweep: Sweep) -> Definition:
    return Definition.model_validate(sweep.definition)


def counts(sweep: Sweep) -> dict[str, int]:
    """Trials by status, zeros included, and their "total"."""
    return counts_of([sweep.pk])[sweep.pk]


def counts_of(sweep_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    found = {pk: {**dict.fromkeys(TrialStatus.values, 0), "total": 0} for pk in sweep_ids}
    grouped = Trial.objects.filter(sweep__in=found).order_by().values_list("sweep", "status").annotate(n=Count("pk"))
    for pk, status, number in grouped:
        found[pk][status] = number
        found[pk]["total"] += number
    return found


def samples(sweep: Sweep, role: Role = Role.TUNE) -> dict[int, list[list[float]]]:
    """{trial id: per objective, the values of its seeds of a role}; seeds without a value are left out."""
    found: dict[int, list[list[float]]] = {}
    rows = Replicate.objects.filter(trial__sweep=sweep, role=role, values__isnull=False).order_by("seed")
    for trial_id, values in rows.values_list("trial_id", "values"):
        assert values is not None
        columns = found.setdefault(trial_id, [[] for _ in values])
        for column, value in zip(columns, values, strict=True):
            column.append(float(value))
    return found


def standings(sweep: Sweep) -> list[Standing]:
    """Every trial, best first; those without a full value follow by number."""
    checked, sampled = definition(sweep), samples(sweep)
    trials = list(Trial.objects.filter(sweep=sweep).order_by("number"))
    ranks = _ranks(trials, signs(checked.objective))
    found = [_standing(trial, sampled.get(trial.pk), ranks.get(trial.pk), checked) for trial in trials]
    first = sign(checked.objective[0])
    return sorted(found, key=lambda one: (one.rank is None, one.rank or 0, _sorted_by(one, first), one.trial.number))


def best(sweep: Sweep) -> Best | None:
    """The trial with the best mean (with several objectives: the best first value of the front); None without one."""
    checked = definition(sweep)
    finished = [trial for trial in Trial.objects.filter(sweep=sweep, status=TrialStatus.SUCCEEDED) if _is_ranked(trial)]
    if not finished:
        return None
    winner = min(finished, key=lambda trial: (sign(checked.objective[0]) * _values(trial)[0], trial.number))
    told = Replicate.objects.filter(trial=winner, values__isnull=False).order_by("role", "seed")
    by_role: dict[str, list[list[float]]] = defaultdict(list)
    for role, values in told.values_list("role", "values"):
        by_role[role].append(list(values or []))
    confidence = checked.seeds.confidence
    intervals = [_interval(list(column), confidence) for column in zip(*by_role[Role.TUNE], strict=True)]
    test = [_interval(list(column), confidence) for column in zip(*by_role[Role.TEST], strict=True)] or None
    unknown: list[Interval | None] = [None] * len(checked.objective)
    return Best(winner.number, winner.params, _values(winner), intervals or unknown, test)


def curves(sweep: Sweep) -> list[Curve]:
    """The first objective of every trial with points, less is better, by number."""
    objective = definition(sweep).objective[0]
    replicates = list(Replicate.objects.filter(trial__sweep=sweep, role=Role.TUNE).select_related("trial", "run"))
    points = raw_of([item.run_id for item in replicates], objective.metric)
    return curves_from(replicates, points, objective)


def curves_from(replicates: Iterable[Replicate], points: Mapping[int, Any], objective: Objective) -> list[Curve]:
    by_trial: dict[int, list[Replicate]] = defaultdict(list)
    for item in replicates:
        if item.run_id in points:
            by_trial[item.trial.number].append(item)
    found = (_curve(items, points, objective) for _, items in sorted(by_trial.items()))
    return [curve for curve in found if len(curve.steps)]


def _curve(items: Sequence[Replicate], points: Mapping[int, Any], objective: Objective) -> Curve:
    """The mean over the seeds at the steps that all of those which have begun have reached."""
    trial = items[0].trial
    told = [points[item.run_id] for item in items]
    steps = told[0].steps
    for other in told[1:]:
        steps = np.intersect1d(steps, other.steps, assume_unique=True)
    values = np.mean([one.values[np.searchsorted(one.steps, steps)] for one in told], axis=0)
    return Curve(
        trial=trial.number,
        steps=steps,
        values=_statistic(sign(objective) * values, objective),
        last_step=max(item.run.steps or 0 for item in items),
        is_over=trial.status in CLOSED,
        is_complete=trial.status == TrialStatus.SUCCEEDED,
        judged_step=trial.judged_step,
    )


def _statistic(values: Any, objective: Objective) -> Any:
    """What the objective would be at each step, were it the last. `values` have their sign turned already."""
    match objective.statistic:
        case "min" | "max":
            is_best = (objective.statistic == "min") == (objective.goal == "minimize")
            return (np.fmin if is_best else np.fmax).accumulate(values) if len(values) else values
        case "mean":
            return np.cumsum(values) / np.arange(1, len(values) + 1)
    return values


def measured(run_ids: Iterable[int], checked: Definition, role: Role) -> dict[int, list[float | None]]:
    """{run: a value per objective}, None where it logged no such metric. What a run counts is told by its facts."""
    metrics = [test_metric(one.metric) if role == Role.TEST else one.metric for one in checked.objective]
    told = summaries(run_ids, metrics)
    counted = _counted(told, checked)
    return {run_id: [counted.get((run_id, one.metric), _value(told[run_id].get(name), one))
                     for name, one in zip(metrics, checked.objective, strict=True)]
            for run_id in told}  # fmt: skip


def _counted(run_ids: Iterable[int], checked: Definition) -> dict[tuple[int, str], float]:
    """Objectives that no run logs, because it knows them before its first step."""
    asked = [one.metric for one in checked.objective if one.metric in COUNTED]
    if not asked:
        return {}
    facts = Run.objects.filter(pk__in=list(run_ids)).values_list("pk", "facts__parameters")
    return {
        (run_id, metric): float(counts[COUNTED[metric]])
        for run_id, counts in facts
        for metric in asked
        if isinstance(counts, dict) and counts.get(COUNTED[metric]) is not None
    }


def _value(summary: Summary | None, objective: Objective) -> float | None:
    if summary is None:
        return None
    return {"last": summary.last, "min": summary.minimum, "max": summary.maximum, "mean": summary.mean}[
        objective.statistic
    ]


def _standing(trial: Trial, values: list[list[float]] | None, rank: int | None, checked: Definition) -> Standing:
    columns = values or [[] for _ in checked.objective]
    return Standing(trial, columns, [_interval(column, checked.seeds.confidence) for column in columns], rank)


def _interval(values: list[float], confidence: float) -> Interval | None:
    return interval(values, confidence) if values else None


def _is_ranked(trial: Trial) -> bool:
    return trial.status == TrialStatus.SUCCEEDED and bool(trial.values) and all(np.isfinite(_values(trial)))


def _values(trial: Trial) -> list[float]:
    return [float(value) for value in trial.values or []]


def _ranks(trials: Sequence[Trial], turned: Sequence[float]) -> dict[int, int]:
    ranked = [trial for trial in trials if _is_ranked(trial)]
    if not ranked:
        return {}
    values = np.array([_values(trial) for trial in ranked]) * np.array(turned)
    fronts = _fronts(values) if values.shape[1] > 1 else np.argsort(np.argsort(values[:, 0], kind="stable")) + 1
    return {trial.pk: int(rank) for trial, rank in zip(ranked, fronts, strict=True)}


def _fronts(values: Any) -> Any:
    """(n,) from 1: the points that nobody dominates, then those that only they dominate, ...

    `values`: (n, objectives), less is better.
    """
    ranks, rank = np.zeros(len(values), int), 1
    while (left := np.flatnonzero(ranks == 0)).size:
        some = values[left]
        is_dominated = [bool(((some <= point).all(axis=1) & (some < point).any(axis=1)).any()) for point in some]
        ranks[left[~np.array(is_dominated)]] = rank
        rank += 1
    return ranks


def _sorted_by(standing: Standing, turned: float) -> float:
    return turned * _values(standing.trial)[0] if standing.rank is not None else 0.0
