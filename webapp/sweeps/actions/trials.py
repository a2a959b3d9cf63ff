"""What people do to single trials: add a point, cancel, resume, put first, try failed ones again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max

from webapp.accounts.errors import Invalid, below
from webapp.accounts.models import User
from webapp.runs import actions as run_actions
from webapp.runs import plain
from webapp.runs import specs as run_specs
from webapp.runs.fields import PRIORITIES
from webapp.runs.models import Run
from webapp.runs.states import REQUEUEABLE, STOPPABLE, Status
from webapp.sweeps.actions.control import cancel_all
from webapp.sweeps.actions.transitions import become, close, locked, tell
from webapp.sweeps.definition import Definition
from webapp.sweeps.errors import WrongState
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.search.asking import Point
from webapp.sweeps.specs import spec_of
from webapp.sweeps.states import OPEN, OVER, Role, SweepStatus, TrialStatus


@transaction.atomic
def add_trial(sweep: Sweep, user: User | None, params: Mapping[str, Any]) -> Trial:
    """A point chosen by a person, tried before the sampler's next. Raises Invalid and WrongState."""
    sweep = locked(sweep)
    checked = Definition.model_validate(sweep.definition)
    _refuse_violations(checked, params)
    steps = getattr(
        checked.search.sampler, "interval_steps", None
    )  # a new member of a population begins like the others
    trial = new_trial(sweep, checked, Point(dict(params), steps=steps), Trial.Source.HAND)
    tell(sweep, f"Trial {trial.number} was added by hand.", user)
    revive(sweep, user)
    return trial


@transaction.atomic
def cancel_trial(trial: Trial, user: User | None) -> Trial:
    """Its runs write a checkpoint and end; the sampler learns nothing from it. Raises WrongState."""
    sweep = locked(trial.sweep)
    trial.refresh_from_db()
    if trial.status not in OPEN:
        raise WrongState(f"Trial {trial.number} is {trial.status} and can't be cancelled.")
    cancel_all(_runs(trial, STOPPABLE))
    close(trial, TrialStatus.CANCELLED, f"Cancelled by {user.username}." if user else "Cancelled.")
    tell(sweep, f"Trial {trial.number} was cancelled.", user)
    return trial


@transaction.atomic
def resume_trial(trial: Trial, user: User | None) -> Trial:
    """A trial that was stopped early or cancelled goes on from its checkpoints; no stopper touches it again.

    Raises WrongState.
    """
    sweep = locked(trial.sweep)
    trial.refresh_from_db()
    if trial.status not in (TrialStatus.STOPPED, TrialStatus.CANCELLED):
        raise WrongState(f"Trial {trial.number} is {trial.status}: only a stopped or cancelled trial can be resumed.")
    if _runs(trial, {Status.CANCELLING}):
        raise WrongState(f"Trial {trial.number} is still writing its checkpoint; try again in a moment.")
    _requeue(trial)
    Trial.objects.filter(pk=trial.pk).update(spared=True)
    trial.refresh_from_db()
    tell(sweep, f"Trial {trial.number} was resumed.", user)
    revive(sweep, user)
    return trial


@transaction.atomic
def prioritise(trial: Trial, user: User | None, priority: int) -> Trial:
    """Its runs go before (or after) the sweep's others. Raises Invalid."""
    sweep = locked(trial.sweep)
    if sweep.priority + priority not in PRIORITIES:
        rule = f"must lie between {PRIORITIES[0]} and {PRIORITIES[-1]}"
        msg = f"The sweep's priority {sweep.priority} plus {priority} {rule}."
        raise Invalid.field("priority", msg)
    Trial.objects.filter(pk=trial.pk).update(priority=priority)
    trial.refresh_from_db()
    for run in _runs(trial, {Status.QUEUED}):
        run_actions.update(run, priority=sweep.priority + priority)
    tell(sweep, f"Trial {trial.number} has priority {priority}.", user)
    return trial


@transaction.atomic
def requeue_failed(sweep: Sweep, user: User | None) -> int:
    """Trials that failed wait again, each run from its last checkpoint. How many: out-of-memory and diverged ones are
    results, and stay."""
    sweep = locked(sweep)
    failed = list(Trial.objects.filter(sweep=sweep, status=TrialStatus.FAILED).exclude(source=Trial.Source.IMPORTED))
    for trial in failed:
        _requeue(trial)
    if failed:
        tell(sweep, f"{len(failed)} failed trials wait again.", user)
        revive(sweep, user)
    return len(failed)


def new_trial(sweep: Sweep, checked: Definition, point: Point, source: Trial.Source) -> Trial:
    """The caller holds the sweep's row, so numbers have no gap and no double."""
    last = Trial.objects.filter(sweep=sweep).aggregate(last=Max("number"))["last"] or 0
    seeds = checked.seeds.racing_from if checked.seeds.racing else checked.seeds.tune
    parent = Trial.objects.filter(sweep=sweep, number=point.parent).first() if point.parent else None
    return Trial.objects.create(
        sweep=sweep, number=last + 1, params=point.params, source=source, seeds=seeds, parent=parent,
        generation=point.generation, steps=point.steps,
    )  # fmt: skip


def revive(sweep: Sweep, user: User | None) -> None:
    """A sweep that is over looks after its trials again; it asks for none beyond its limit."""
    if sweep.status in OVER:
        become(sweep, SweepStatus.RUNNING, "Goes on.", user)


def _refuse_violations(checked: Definition, params: Mapping[str, Any]) -> None:
    from webapp.sweeps.search import space

    if sentences := space.violations(checked.search, dict(params), checked.spec):
        raise Invalid([{"loc": ["params"], "msg": sentence} for sentence in sentences])
    with below("params"):
        run_specs.checked(plain.json(spec_of(checked, params, checked.seeds.first)))


def _runs(trial: Trial, states: frozenset[Status] | set[Status]) -> list[Run]:
    found = Run.objects.filter(replicate__trial=trial, replicate__role=Role.TUNE, deleted_at=None, status__in=states)
    return list(found.select_related("project"))


def _requeue(trial: Trial) -> None:
    """Back to open. A replicate whose run is deleted is made anew when the sweep advances."""
    for run in _runs(trial, REQUEUEABLE):
        run_actions.requeue(run)
    trial.replicates.filter(role=Role.TUNE, run__deleted_at__isnull=False).delete()
    Trial.objects.filter(pk=trial.pk).update(status=TrialStatus.RUNNING, ended_at=None, message="", values=None)
    trial.refresh_from_db()
