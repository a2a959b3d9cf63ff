"""Every read of sweeps: who sees them, how they stand, what stoppers and samplers are told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from django.db.models import Count, QuerySet

from webapp.accounts.models import User
from webapp.accounts.roles import projects_of
from webapp.metrics.queries import raw_of, summaries
from webapp.metrics.summary import Summary
from webapp.runs.models import Run
from webapp.sweeps.curves import Curve
from webapp.sweeps.definition import Definition, Objective, sign
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.specs import test_metric
from webapp.sweeps.states import CLOSED, Role, TrialStatus

COUNTED = {"parameters/trainable": "trainable", "parameters/total": "total"}


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
