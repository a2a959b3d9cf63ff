"""Queues runs up to the sweep's concurrency: first the seeds that open trials still lack, then new points."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from webapp.accounts.errors import Invalid
from webapp.runs import actions as run_actions
from webapp.runs.models import Run
from webapp.runs.states import FINAL, Status
from webapp.sweeps import budget
from webapp.sweeps.actions.control import runs_of
from webapp.sweeps.actions.settling import Open, open_trials
from webapp.sweeps.actions.transitions import close
from webapp.sweeps.actions.trials import new_trial
from webapp.sweeps.definition import Budget, Definition
from webapp.sweeps.errors import Exhausted
from webapp.sweeps.histories import observations
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.search.asking import Point, ask
from webapp.sweeps.specs import seeds_of, spec_of
from webapp.sweeps.states import CLOSED, Role, TrialStatus

FAILURES = 5
MOST_POINTS = 50  # asked at once, so that one sweep never holds up the others for long


class Room:
    """How many more runs may be queued now, within concurrency and budget; `refusal` says why the budget has no more.

    `has_failed`: a run could not be queued, so the next would hardly fare better.
    """

    def __init__(self, sweep: Sweep, checked: Definition) -> None:
        self.sweep = sweep
        self.refusal: str | None = None
        self.has_failed = False
        self.active: list[Run] = list(runs_of(sweep).exclude(status__in=[*FINAL, Status.PAUSED]))
        self.left = checked.concurrency - len(self.active)
        self._is_limited = checked.budget != Budget()
        self._reserve = checked.test_runs

    def allows(self, role: Role = Role.TUNE) -> bool:
        if self.left <= 0 or self.refusal or self.has_failed:
            return False
        if self._is_limited:
            reserve = self._reserve if role == Role.TUNE else 0
            self.refusal = budget.refusal(self.sweep, self._spent, self.active, reserve=reserve)
        return self.refusal is None

    def take(self, run: Run) -> None:
        self.left -= 1
        self.active.append(run)

    @cached_property
    def _spent(self) -> budget.Spent:
        return budget.spent(self.sweep)


def fill(sweep: Sweep, checked: Definition, room: Room) -> str | None:
    """Why there is nothing left to begin, once that is so: the limit, the space or the budget."""
    for one in open_trials(sweep):
        _queue_seeds(one, sweep, checked, room)
    try:
        while room.allows() and (points := _points(sweep, checked, room)):
            for point in points:
                if room.has_failed:
                    break
                trial = new_trial(sweep, checked, point, Trial.Source.SAMPLER)
                _queue_seeds(Open(trial, []), sweep, checked, room)
    except Exhausted as error:
        return str(error)
    return room.refusal or _is_done(sweep, checked)


def _points(sweep: Sweep, checked: Definition, room: Room) -> list[Point]:
    """The next points; none once the sweep has had its trials, or while the sampler waits for some to end."""
    per_point = checked.seeds.racing_from if checked.seeds.racing else checked.seeds.tune
    count = min(checked.trials - _asked(sweep), -(-room.left // per_point), MOST_POINTS)
    if count <= 0:
        return []
    return ask(checked.search, checked.objective, observations(sweep), count, checked.spec)


def _asked(sweep: Sweep) -> int:
    return Trial.objects.filter(sweep=sweep).exclude(source=Trial.Source.IMPORTED).count()


def _is_done(sweep: Sweep, checked: Definition) -> str | None:
    asked = _asked(sweep)
    return f"All {asked} trials are over." if asked >= checked.trials else None


def _queue_seeds(one: Open, sweep: Sweep, checked: Definition, room: Room) -> None:
    """The runs that a trial lacks, as far as there is room. A point that can't be queued fails."""
    for seed in _missing(one, checked):
        if not room.allows():
            return
        try:
            room.take(queue_run(one.trial, sweep, checked, seed, Role.TUNE))
        except Invalid as error:
            close(one.trial, TrialStatus.FAILED, f"Its run could not be queued: {error}")
            room.has_failed = True


def _missing(one: Open, checked: Definition) -> list[int]:
    have = {item.seed for item in one.tuning}
    return [seed for seed in seeds_of(checked.seeds, Role.TUNE, one.trial.seeds) if seed not in have]


def queue_run(trial: Trial, sweep: Sweep, checked: Definition, seed: int, role: Role) -> Run:
    """A replicate's run. Raises Invalid when its spec can't be queued (any more)."""
    about: dict[str, Any] = {
        "user": sweep.created_by,
        "spec": spec_of(checked, trial.params, seed, role, trial.steps),
        "name": _name(sweep, trial, seed, role)[:200],
        "tags": sweep.tags,
        "priority": sweep.priority + trial.priority,
        "queue": sweep.queue_id,
        "share": f"sweep:{sweep.pk}",
    }
    parent = Run.objects.filter(replicate__trial=trial.parent_id, replicate__seed=seed, replicate__role=role).first()
    if parent is not None and trial.parent_id is not None:
        run = run_actions.fork(parent, **about)
    else:
        run = run_actions.submit(project=sweep.project, **about)
    Replicate.objects.create(trial=trial, run=run, seed=seed, role=role)
    return run


def _name(sweep: Sweep, trial: Trial, seed: int, role: Role) -> str:
    told = "" if role == Role.TUNE and trial.seeds == 1 else f" {'test ' if role == Role.TEST else ''}seed {seed}"
    return f"{sweep.name[:150]} · {trial.number}{told}"


def failing(sweep: Sweep) -> bool:
    """Whether the last five trials that ended have all failed: something is wrong with all of them."""
    last = Trial.objects.filter(sweep=sweep, status__in=CLOSED).order_by("-ended_at").values_list("status", flat=True)
    told = list(last[:FAILURES])
    return len(told) == FAILURES and all(status == TrialStatus.FAILED for status in told)
