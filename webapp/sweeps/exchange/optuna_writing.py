"""A sweep as an Optuna study: what Optuna has a place for in that place, the rest in user attributes."""

from __future__ import annotations

import logging
import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.utils import timezone

from webapp.sweeps import queries
from webapp.sweeps.curves import Curve
from webapp.sweeps.definition import Definition, Dimension, Range, sign
from webapp.sweeps.exchange.optuna_reading import DEFINITION, MESSAGE, STATUS, VALUES
from webapp.sweeps.exchange.optuna_rows import insert
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.search import dimensions, knobs
from webapp.sweeps.states import TrialStatus

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

MOST_POINTS = 200  # of a trial's series: a row each in Optuna's storage
Runs = Mapping[int, list[dict[str, Any]]]


def write(sweep: Sweep, path: Path) -> None:
    """Opens, fills and closes the SQLite file."""
    import optuna

    logging.getLogger("optuna").setLevel(logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    try:
        _fill(sweep, storage)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _fill(sweep: Sweep, storage: RDBStorage) -> None:
    import optuna

    checked = queries.definition(sweep)
    goals = [one.goal for one in checked.objective]
    study = optuna.create_study(storage=storage, study_name=sweep.name, directions=goals)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([one.metric for one in checked.objective])
    study.set_user_attr(DEFINITION, sweep.definition)
    runs, curves = _runs(sweep), {curve.trial: curve for curve in queries.curves(sweep)}
    whole = knobs.whole(checked.spec, checked.search.space)
    trials = Trial.objects.filter(sweep=sweep).order_by("number")
    insert(storage, [_frozen(trial, checked, whole, curves.get(trial.number), runs) for trial in trials])


def _frozen(trial: Trial, checked: Definition, whole: frozenset[str], curve: Curve | None, runs: Runs) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    space = checked.search.space
    values = trial.values if trial.values and all(map(math.isfinite, trial.values)) else None
    state = _state(trial, values)
    is_over = state != TrialState.RUNNING
    frozen = create_trial(
        state=state,
        values=values if state == TrialState.COMPLETE else None,
        params=trial.params,
        distributions={key: _distribution(space.get(key), value, key in whole) for key, value in trial.params.items()},
        intermediate_values=_intermediate(curve, sign(checked.objective[0])) if len(checked.objective) == 1 else {},
        user_attrs={
            "hone:number": trial.number, STATUS: trial.status, MESSAGE: trial.message, VALUES: trial.values,
            "hone:source": trial.source, "hone:runs": runs.get(trial.pk, []),
        },
    )  # fmt: skip
    frozen.datetime_start = _local(trial.created_at)
    frozen.datetime_complete = _local(trial.ended_at or trial.created_at) if is_over else None
    return frozen


def _state(trial: Trial, values: list[float] | None) -> Any:
    from optuna.trial import TrialState

    if trial.status in (TrialStatus.QUEUED, TrialStatus.RUNNING):
        return TrialState.RUNNING
    if trial.status == TrialStatus.SUCCEEDED and values:
        return TrialState.COMPLETE
    return TrialState.PRUNED if trial.status == TrialStatus.STOPPED else TrialState.FAIL


def _distribution(dimension: Dimension | None, value: Any, is_whole: bool) -> BaseDistribution:
    """Of the space now, or, for a value that an earlier space had, one that has just this value."""
    from optuna.distributions import CategoricalDistribution

    if dimension is not None and dimensions.contains(dimension, value, is_whole):
        return dimensions.distribution(dimension, is_whole)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return dimensions.distribution(Range(low=value, high=value), isinstance(value, int))
    return CategoricalDistribution([value])


def _intermediate(curve: Curve | None, turned: float) -> dict[int, float]:
    """{step: value as measured}, evenly thinned, the last one kept."""
    if curve is None:
        return {}
    places = np.unique(np.linspace(0, len(curve.steps) - 1, MOST_POINTS).astype(int))
    return {int(curve.steps[place]): turned * float(curve.values[place]) for place in places}


def _runs(sweep: Sweep) -> Runs:
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for item in _replicates(sweep):
        told = {"run": item.run_id, "seed": item.seed, "role": item.role, "values": item.values, "spec": item.run.spec}
        found[item.trial_id].append(told)
    return found


def _replicates(sweep: Sweep) -> Iterator[Replicate]:
    return Replicate.objects.filter(trial__sweep=sweep).select_related("run").order_by("role", "seed").iterator()


def _local(moment: datetime) -> datetime:
    """Optuna's times are naive and local."""
    return timezone.make_naive(moment)
