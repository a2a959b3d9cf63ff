"""What of an Optuna study becomes a sweep: distributions a space, trials observations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from webapp.accounts.errors import Invalid
from webapp.sweeps.definition import Definition
from webapp.sweeps.states import CLOSED, TrialStatus

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

MOST_TRIALS = 100_000
MOST_OBJECTIVES = 3
DEFINITION = "hone:definition"  # attributes of what `write` has written
STATUS, MESSAGE, VALUES = "hone:status", "hone:message", "hone:values"
STATUSES = {"COMPLETE": TrialStatus.SUCCEEDED, "PRUNED": TrialStatus.STOPPED, "FAIL": TrialStatus.FAILED}


def body(storage: BaseStorage, name: str, names: Mapping[str, str]) -> dict[str, Any]:
    import optuna

    study = optuna.load_study(study_name=name, storage=storage)
    trials = study.get_trials(deepcopy=False)
    if len(study.directions) > MOST_OBJECTIVES or len(trials) > MOST_TRIALS:
        msg = f"A study has at most {MOST_OBJECTIVES} objectives and {MOST_TRIALS:,} trials."
        raise Invalid.field("file", msg)
    notes: list[str] = []
    made = study.user_attrs.get(DEFINITION)
    found = (
        {key: value for key, value in made.items() if key in Definition.model_fields}
        if isinstance(made, dict)
        else _definition(study, trials, names, notes)
    )
    return {"name": name[:200], **found, "observations": list(_observations(trials, names, notes)), "notes": notes}


def _definition(
    study: Study, trials: Sequence[FrozenTrial], names: Mapping[str, str], notes: list[str]
) -> dict[str, Any]:
    space = _space(trials, names, notes)
    if not space:
        raise Invalid.field("file", f"No trial of {study.study_name!r} has a parameter: there is no space to search.")
    metrics = study.metric_names or [f"value {index}" for index in range(len(study.directions))]
    if not study.metric_names:
        notes.append("The study does not name its metrics: set objective.metric, like eval/loss.")
    objective = [
        {"metric": metric, "goal": direction.name.lower()}
        for metric, direction in zip(metrics, study.directions, strict=True)
    ]
    return {"search": {"sampler": {"name": "tpe"}, "space": space}, "objective": objective, "trials": 20}


def _space(trials: Sequence[FrozenTrial], names: Mapping[str, str], notes: list[str]) -> dict[str, Any]:
    """The widest that each parameter has had; where it was only now and then, the condition that explains it."""
    space: dict[str, dict[str, Any]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            path = names.get(name, name)
            space[path] = _widened(space.get(path), _dimension(distribution), path)
    for path in space:
        if condition := _condition(path, space, [_params(trial, names) for trial in trials], notes):
            space[path]["when"] = condition
    return space


def _dimension(distribution: BaseDistribution) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return {"choices": list(distribution.choices)}
    if not isinstance(distribution, IntDistribution | FloatDistribution):
        raise Invalid.field("file", f"The distribution {distribution} is not one that Optuna 5 has.")
    found: dict[str, Any] = {"low": distribution.low, "high": distribution.high}
    if distribution.log:
        found["log"] = True
    elif distribution.step is not None:
        found["step"] = distribution.step
    return found


def _widened(old: dict[str, Any] | None, new: dict[str, Any], path: str) -> dict[str, Any]:
    if old is None or old == new:
        return new
    if "choices" in old and "choices" in new:
        return {"choices": [*old["choices"], *(one for one in new["choices"] if one not in old["choices"])]}
    if "choices" in old or "choices" in new:
        raise Invalid.field("file", f"{path} has been a range and a choice: export the trials of one of them.")
    kept = {key: value for key, value in new.items() if key in ("log", "step") and old.get(key) == value}
    return {"low": min(old["low"], new["low"]), "high": max(old["high"], new["high"]), **kept}


def _params(trial: FrozenTrial, names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in trial.params.items()}


def _condition(
    path: str, space: Mapping[str, Any], points: Sequence[dict[str, Any]], notes: list[str]
) -> dict[str, list[Any]] | None:
    """The one choice whose value tells, in every trial, whether the parameter was there."""
    points = [point for point in points if point]
    if all(path in point for point in points):
        return None
    for parent, one in space.items():
        if parent == path or "choices" not in one or path in one.get("when", {}):
            continue
        present = [
            value for value in one["choices"] if any(path in point and point.get(parent) == value for point in points)
        ]
        if all((path in point) == (parent in point and point[parent] in present) for point in points):
            return {parent: present}
    notes.append(f"{path} is missing in some trials and no choice tells why: those trials teach the sampler nothing.")
    return None


def _observations(
    trials: Sequence[FrozenTrial], names: Mapping[str, str], notes: list[str]
) -> Iterator[dict[str, Any]]:
    skipped = 0
    for trial in trials:
        if trial.state.name not in STATUSES:
            skipped += 1
            continue
        status, values = _status(trial), _values(trial)
        if (values and not all(map(math.isfinite, values))) or (status == TrialStatus.SUCCEEDED and not values):
            status, values = TrialStatus.DIVERGED, None
        message = str(trial.user_attrs.get(MESSAGE, ""))[:1000]
        yield {"params": _params(trial, names), "status": str(status), "values": values, "message": message}
    if skipped:
        notes.append(f"{skipped} trials were waiting or running and are left out.")


def _status(trial: FrozenTrial) -> TrialStatus:
    told = trial.user_attrs.get(STATUS)
    return TrialStatus(told) if told in {str(one) for one in CLOSED} else STATUSES[trial.state.name]


def _values(trial: FrozenTrial) -> list[float] | None:
    """As measured; of a pruned trial the last there was."""
    told = trial.user_attrs.get(VALUES)
    if isinstance(told, list) and all(isinstance(value, int | float) for value in told):
        return told
    if trial.state.name == "PRUNED" and trial.last_step is not None:
        return [trial.intermediate_values[trial.last_step]]
    return list(trial.values) if trial.values else None
