"""Our trials as an Optuna study in memory, made for one question and then forgotten."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from webapp.sweeps.search.outcomes import Outcome
from webapp.sweeps.search.problem import Problem

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

SOME_TIME = datetime(2000, 1, 1)  # Optuna wants one; no sampler reads it


def asked(sampler: BaseSampler, problem: Problem, told: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
    """Points, without end. One that the caller refuses counts as running for the next: a model looks elsewhere."""
    study = _study(sampler, problem, told)
    while True:
        yield _suggested(study.ask(), problem)


def _study(sampler: BaseSampler, problem: Problem, told: Sequence[Outcome]) -> Study:
    import optuna

    logging.getLogger("optuna").setLevel(logging.WARNING)  # it greets every study
    storage = optuna.storages.InMemoryStorage()
    study_id = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE] * problem.objectives, "sweep")
    for template in _templates(problem, told):
        storage.create_new_trial(study_id, template)
    return optuna.load_study(study_name="sweep", storage=storage, sampler=sampler)


def _suggested(trial: Trial, problem: Problem) -> dict[str, Any]:
    """Parents first, so that a knob that does not count is never asked for."""
    from webapp.sweeps.search.space import is_active

    found: dict[str, Any] = {}
    for path, distribution in problem.distributions.items():
        if is_active(problem.space[path], found):
            found[path] = _suggest(trial, path, distribution)
    return found


def _suggest(trial: Trial, path: str, distribution: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(path, distribution.choices)
    low, high, step, log = distribution.low, distribution.high, distribution.step, distribution.log
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(path, low, high, step=step, log=log)
    return trial.suggest_float(path, low, high, step=step, log=log)


def _templates(problem: Problem, told: Sequence[Outcome]) -> Iterator[FrozenTrial]:
    from optuna.trial import FrozenTrial, TrialState

    class Template(FrozenTrial):
        def __deepcopy__(self, memo: dict[int, Any]) -> Template:
            """A storage keeps a copy of what it is given; these are made for it alone."""
            return self

    for one in told:
        params = problem.fitting(one.params)
        if params is None:
            continue
        is_open = one.losses is None
        yield Template(
            number=0, trial_id=0, state=TrialState.RUNNING if is_open else TrialState.COMPLETE, value=None,
            values=one.losses, params=params, distributions={path: problem.distributions[path] for path in params},
            user_attrs={}, system_attrs={}, intermediate_values={}, datetime_start=SOME_TIME,
            datetime_complete=None if is_open else SOME_TIME,
        )  # fmt: skip
