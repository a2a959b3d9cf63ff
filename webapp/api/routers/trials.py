"""A sweep's trials: list, read, add by hand, control, and tell two of them apart."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest
from ninja import Router, Status
from pydantic import Field

from webapp.accounts.models import Role
from webapp.api.access import sweep_or_404, trial_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Invalid
from webapp.api.schemas.trials import Comparison, DifferenceOutput, PointInput, PriorityInput, TrialList, TrialOutput
from webapp.api.sweep_serializers import interval_output
from webapp.api.trial_serializers import trial_output, trial_outputs, tuning_interval, tuning_values, with_seeds
from webapp.api.wire import refuse_non_finite
from webapp.sweeps import actions, queries, statistics, tables
from webapp.sweeps.models import Sweep, Trial

router = Router()
POWER = 0.8
Limit = Annotated[int, Field(ge=1, le=tables.MOST)]
Number = Annotated[int, Field(ge=1, lt=2**31)]


@router.get("/{int:sweep_id}/trials", response=TrialList)
def list_trials(
    request: HttpRequest, sweep_id: int, sort: str = "number", limit: Limit = 50, cursor: str = ""
) -> TrialList:
    """By `number` or by `value` (of the first objective; those without one come last); `-` in front turns it round."""
    sweep = sweep_or_404(user_of(request), sweep_id)
    found = with_seeds(Trial.objects.filter(sweep=sweep))
    page = tables.page(found, sort=sort, cursor=cursor, limit=limit, expression=tables.trial_sort(sort))
    return TrialList(items=trial_outputs(request, sweep, page.items), next=page.next)


@router.post("/{int:sweep_id}/trials", response={201: TrialOutput})
def add_trial(request: HttpRequest, sweep_id: int, body: PointInput) -> Status[TrialOutput]:
    """Tries a point of your own before the sampler's next. For editors."""
    sweep = sweep_or_404(user_of(request), sweep_id, Role.EDITOR)
    refuse_non_finite(body.params, ("params",))
    trial = actions.add_trial(sweep, user_of(request), body.params)
    return Status(201, trial_output(request, sweep, trial))


@router.get("/{int:sweep_id}/trials/{int:number}", response=TrialOutput)
def get_trial(request: HttpRequest, sweep_id: int, number: int) -> TrialOutput:
    trial = trial_or_404(user_of(request), sweep_id, number)
    return trial_output(request, trial.sweep, trial)


@router.post("/{int:sweep_id}/trials/{int:number}/cancel", response=TrialOutput)
def cancel_trial(request: HttpRequest, sweep_id: int, number: int) -> TrialOutput:
    """Ends its runs; the sampler learns nothing from it. For editors."""
    trial = trial_or_404(user_of(request), sweep_id, number, Role.EDITOR)
    return trial_output(request, trial.sweep, actions.cancel_trial(trial, user_of(request)))


@router.post("/{int:sweep_id}/trials/{int:number}/resume", response=TrialOutput)
def resume_trial(request: HttpRequest, sweep_id: int, number: int) -> TrialOutput:
    """A trial that was stopped or cancelled goes on from its checkpoints, spared by the stopper. For editors."""
    trial = trial_or_404(user_of(request), sweep_id, number, Role.EDITOR)
    return trial_output(request, trial.sweep, actions.resume_trial(trial, user_of(request)))


@router.post("/{int:sweep_id}/trials/{int:number}/prioritise", response=TrialOutput)
def prioritise_trial(request: HttpRequest, sweep_id: int, number: int, body: PriorityInput) -> TrialOutput:
    """Its runs go before the sweep's others, or after them. For editors."""
    trial = trial_or_404(user_of(request), sweep_id, number, Role.EDITOR)
    return trial_output(request, trial.sweep, actions.prioritise(trial, user_of(request), body.priority))


@router.get("/{int:sweep_id}/compare", response=Comparison)
def compare_trials(
    request: HttpRequest, sweep_id: int, a: Number, b: Number, objective: Annotated[int, Field(ge=0, le=2)] = 0
) -> Comparison:
    """How far two trials lie apart, and how many more seeds it takes to tell. `objective` counts from 0."""
    sweep = sweep_or_404(user_of(request), sweep_id)
    checked = queries.definition(sweep)
    if objective >= len(checked.objective):
        msg = f"The sweep's objectives are 0 to {len(checked.objective) - 1}: there is no objective {objective}."
        raise Invalid([{"loc": ["objective"], "msg": msg}])
    trials = [_named(sweep, name, number) for name, number in (("a", a), ("b", b))]
    confidence = checked.seeds.confidence
    samples = [tuning_values(trial, objective) for trial in trials]
    has_both = all(samples)
    return Comparison(
        a=a,
        b=b,
        metric=checked.objective[objective].metric,
        intervals=[interval_output(tuning_interval(trial, objective, confidence)) for trial in trials],
        difference=_difference(samples, confidence) if has_both else None,
        confidence=confidence,
        power=POWER,
        seeds_needed=statistics.seeds_needed(*samples, confidence=confidence, power=POWER) if has_both else None,
    )


def _difference(samples: list[list[float]], confidence: float) -> DifferenceOutput:
    a, b = samples
    return DifferenceOutput(**statistics.difference(a, b, confidence)._asdict())


def _named(sweep: Sweep, name: str, number: int) -> Trial:
    trial = with_seeds(Trial.objects.filter(sweep=sweep, number=number)).first()
    if trial is None:
        raise Invalid([{"loc": [name], "msg": f"Sweep {sweep.pk} has no trial {number}."}])
    return trial
