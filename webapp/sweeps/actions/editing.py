"""Edits of a sweep, running or over: what is asked from now on changes, what was tried stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F

from webapp.accounts.errors import FieldError, Invalid
from webapp.accounts.models import User
from webapp.runs import fields
from webapp.runs import plain as plainly
from webapp.sweeps import checking
from webapp.sweeps.actions.control import runs_of
from webapp.sweeps.actions.transitions import become, locked, tell
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.states import OVER, SweepStatus

NAMING = ("name", "tags", "priority")
SEARCHING = ("search", "stopper", "trials", "concurrency", "budget", "seeds")


@transaction.atomic
def edit(sweep: Sweep, user: User | None, changes: Mapping[str, Any]) -> Sweep:
    """Changes name, tags, priority, search, stopper, trials, concurrency, budget or seeds. Raises Invalid.

    `search` and `budget` are merged field by field (a given space replaces the space). A new priority counts for runs
    that wait, too.
    """
    sweep = locked(sweep)
    _refuse_others(changes)
    errors: list[FieldError] = []
    columns = fields.checked(errors, **{key: changes[key] for key in NAMING if key in changes})
    if errors:
        raise Invalid(errors)
    if asked := {key: changes[key] for key in SEARCHING if key in changes}:
        columns["definition"] = _redefined(sweep, asked, user).model_dump(mode="json")
        columns["revision"] = F("revision") + 1
    if not columns:
        return sweep
    Sweep.objects.filter(pk=sweep.pk).update(**columns)
    sweep.refresh_from_db()
    if "priority" in columns:
        _reprioritise(sweep)
    tell(sweep, f"Changed: {', '.join(sorted(changes))}.", user)
    return sweep


@transaction.atomic
def extend(
    sweep: Sweep, user: User | None, *, trials: int | None = None, budget: Mapping[str, Any] | None = None
) -> Sweep:
    """Adds room for `trials` more and changes the given limits of the budget; a sweep that is over goes on.

    Raises Invalid when neither is given, or the limits can't be.
    """
    if trials is None and budget is None:
        raise Invalid.field("trials", "Say how many trials to add, or which limit of the budget to raise.")
    if trials is not None and trials < 1:
        raise Invalid.field("trials", f"trials are added: it must be at least 1, not {trials}.")
    sweep = locked(sweep)
    changes: dict[str, Any] = {"budget": dict(budget)} if budget is not None else {}
    if trials is not None:
        before = max(sweep.definition["trials"] if sweep.status not in OVER else 0, _tried(sweep))
        changes["trials"] = before + trials
    sweep = edit(sweep, user, changes)
    if sweep.status in OVER:
        become(sweep, SweepStatus.RUNNING, "Goes on.", user)
    return sweep


def _tried(sweep: Sweep) -> int:
    return Trial.objects.filter(sweep=sweep).exclude(source=Trial.Source.IMPORTED).count()


def _refuse_others(changes: Mapping[str, Any]) -> None:
    if others := sorted(changes.keys() - {*NAMING, *SEARCHING}):
        possible = ", ".join([*NAMING, *SEARCHING])
        raise Invalid([{"loc": [key], "msg": f"{key} can't be changed; these can: {possible}."} for key in others])


def _redefined(sweep: Sweep, asked: Mapping[str, Any], user: User | None) -> Definition:
    merged = dict(sweep.definition)
    for key, value in asked.items():
        is_partial = key in ("search", "budget") and isinstance(value, Mapping)
        merged[key] = {**merged[key], **value} if is_partial else value
    return checking.checked(plainly.json(merged), user, sweep.project)


def _reprioritise(sweep: Sweep) -> None:
    from webapp.runs import actions as run_actions

    for run in runs_of(sweep).filter(status="queued").select_related("replicate__trial"):
        run_actions.update(run, priority=sweep.priority + run.replicate.trial.priority)
