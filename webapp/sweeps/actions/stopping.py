"""Asks the stopper of each trial that has new points whether it goes on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime

from webapp.metrics.queries import raw_of, summaries
from webapp.runs.states import STOPPABLE
from webapp.sweeps import queries
from webapp.sweeps.actions.control import cancel_all
from webapp.sweeps.actions.settling import Open, open_trials
from webapp.sweeps.actions.transitions import close, tell
from webapp.sweeps.curves import Curve, Decision
from webapp.sweeps.definition import Definition, sign
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.registry import entry_of
from webapp.sweeps.states import CLOSED, Role, TrialStatus

MOST_SWEEPS = 20
MOST_FORECASTS = 50
Curves = dict[int, Curve]  # by the trial's number
_ended: OrderedDict[tuple[int, datetime], Curves] = (
    OrderedDict()
)  # of this process: curves of trials that are over never change
_seen: dict[int, int | None] = {}  # run -> last step at which its trial was judged


def stop_early(sweep: Sweep, checked: Definition) -> None:
    """Stops the trials that the stopper gives up; each is judged once a new point has come."""
    if checked.stopper is None:
        return
    judged = {one.trial.number: one for one in open_trials(sweep) if not one.trial.spared and one.tuning}
    items = [item for one in judged.values() for item in one.tuning]
    if not items or not _have_news(items, checked):
        return
    own = _curves(items, checked)
    others = [*_ended_curves(sweep, checked), *own]
    for curve in own:
        rest = [other for other in others if other.trial != curve.trial]
        decision = entry_of(checked.stopper).module.decide(checked.stopper, curve, rest, sign(checked.objective[0]))
        if decision is not None:
            _follow(sweep, judged[curve.trial], curve, decision, checked)


def _have_news(items: Sequence[Replicate], checked: Definition) -> bool:
    metric = checked.objective[0].metric
    told = summaries([item.run_id for item in items], [metric])
    steps = {run_id: found[metric].last_step for run_id, found in told.items() if metric in found}
    fresh = any(_seen.get(run_id) != step for run_id, step in steps.items())
    _seen.update(steps)
    if len(_seen) > 10_000:
        _seen.clear()
    return fresh


def _curves(items: Sequence[Replicate], checked: Definition) -> list[Curve]:
    objective = checked.objective[0]
    return queries.curves_from(items, raw_of([item.run_id for item in items], objective.metric), objective)


def _ended_curves(sweep: Sweep, checked: Definition) -> list[Curve]:
    """Of the trials that are over; read once in this process, least recently asked sweeps forgotten first."""
    known = _ended.setdefault((sweep.pk, sweep.created_at), {})
    _ended.move_to_end((sweep.pk, sweep.created_at))
    while len(_ended) > MOST_SWEEPS:
        _ended.popitem(last=False)
    over = set(Trial.objects.filter(sweep=sweep, status__in=CLOSED).values_list("number", flat=True))
    for gone in known.keys() - over:  # resumed: it has points to come
        del known[gone]
    unread = over - known.keys()
    items = Replicate.objects.filter(trial__sweep=sweep, trial__number__in=unread, role=Role.TUNE)
    for curve in _curves(list(items.select_related("trial", "run")), checked) if unread else ():
        known[curve.trial] = curve
    return list(known.values())


def _follow(sweep: Sweep, judged: Open, curve: Curve, decision: Decision, checked: Definition) -> None:
    trial = judged.trial
    trial.judged_step = max(trial.judged_step, decision.judged_step)
    if decision.forecast is not None:
        trial.forecasts = [*trial.forecasts, decision.forecast][-MOST_FORECASTS:]
    Trial.objects.filter(pk=trial.pk).update(judged_step=trial.judged_step, forecasts=trial.forecasts)
    if not decision.stop:
        return
    values = [sign(checked.objective[0]) * float(curve.values[-1])]
    cancel_all(item.run for item in judged.tuning if item.run.status in STOPPABLE)
    close(trial, TrialStatus.STOPPED, f"Stopped early: {decision.reason}.", values)
    tell(sweep, f"Trial {trial.number} was stopped early: {decision.reason}.")
