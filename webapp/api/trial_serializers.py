"""Trials as the API shows them: a page of them costs a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from webapp.api.schemas.trials import SeedOutput, TrialOutput
from webapp.api.sweep_serializers import interval_output
from webapp.runs.states import Status
from webapp.sweeps import queries
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.states import Role, TrialStatus
from webapp.sweeps.statistics import Interval, interval


def with_seeds(trials: QuerySet[Trial]) -> QuerySet[Trial]:
    seeds = Replicate.objects.order_by("role", "seed").select_related("run").defer("run__spec", "run__provenance")
    return trials.select_related("parent").prefetch_related(Prefetch("replicates", queryset=seeds))


def trial_output(request: HttpRequest, sweep: Sweep, trial: Trial) -> TrialOutput:
    """The trial as it is in the database now."""
    fresh = with_seeds(Trial.objects.filter(pk=trial.pk)).get()
    return trial_outputs(request, sweep, [fresh])[0]


def trial_outputs(request: HttpRequest, sweep: Sweep, trials: Sequence[Trial]) -> list[TrialOutput]:
    checked = queries.definition(sweep)
    return [_output(request, sweep, trial, checked) for trial in trials]


def tuning_values(trial: Trial, place: int) -> list[float]:
    """Objective number `place`, over the trial's tuning seeds that have a value."""
    tuned = (item.values[place] for item in trial.replicates.all() if item.role == Role.TUNE and item.values)
    return [float(value) for value in tuned if value is not None]


def tuning_interval(trial: Trial, place: int, confidence: float) -> Interval | None:
    values = tuning_values(trial, place)
    return interval(values, confidence) if values else None


def _output(request: HttpRequest, sweep: Sweep, trial: Trial, checked: Definition) -> TrialOutput:
    intervals = [
        interval_output(tuning_interval(trial, place, checked.seeds.confidence))
        for place in range(len(checked.objective))
    ]
    address = reverse("api:get_trial", kwargs={"sweep_id": sweep.pk, "number": trial.number})
    return TrialOutput(
        number=trial.number,
        status=TrialStatus(trial.status),
        source=Trial.Source(trial.source),
        params=trial.params,
        value=trial.values[0] if trial.values else None,
        values=trial.values,
        interval=intervals[0],
        intervals=intervals,
        seeds=[_seed(item) for item in trial.replicates.all()],
        seeds_wanted=trial.seeds,
        message=trial.message,
        forecasts=trial.forecasts,
        judged_step=trial.judged_step,
        spared=trial.spared,
        generation=trial.generation,
        parent=trial.parent.number if trial.parent else None,
        priority=trial.priority,
        created_at=trial.created_at,
        ended_at=trial.ended_at,
        url=request.build_absolute_uri(address),
    )


def _seed(item: Replicate) -> SeedOutput:
    role: Literal["tune", "test"] = "test" if item.role == Role.TEST else "tune"
    return SeedOutput(seed=item.seed, role=role, run=item.run_id, status=Status(item.run.status), values=item.values)
