"""A study: the sweeps that one start of a protocol has made, what they were asked, and what they show together.

Each sweep holds its share of it in `protocol`: {"name", "knobs", "group": what its siblings share, "study": its place
from 1, "labels": which part of the study it is}. Nothing else is stored: the result is computed from the runs.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from pydantic import ValidationError

from gpu_jobs import registry as jobs
from webapp.accounts.errors import FieldError, Invalid, below
from webapp.accounts.models import Project, User
from webapp.metrics.points import Points
from webapp.metrics.queries import raw_of
from webapp.runs import plain, specs
from webapp.sweeps import actions, checking, registry, rows
from webapp.sweeps.measures.outcomes import Result
from webapp.sweeps.measures.reading import Series
from webapp.sweeps.models import Sweep
from webapp.sweeps.planning import Planned
from webapp.sweeps.registry import Entry, Knobs
from webapp.sweeps.states import LIVE, SweepStatus

MOST_SWEEPS = 200
STATUSES = (
    SweepStatus.RUNNING,
    SweepStatus.REPORTING,
    SweepStatus.PAUSED,
    SweepStatus.FAILED,
    SweepStatus.STOPPED,
    SweepStatus.SUCCEEDED,
)


class Study(NamedTuple):
    """`sweeps` in the order in which they were planned; `group` is "" for a sweep that was made by hand."""

    group: str
    entry: Entry
    knobs: Knobs
    sweeps: list[Sweep]

    @property
    def started_at(self) -> datetime:
        return self.sweeps[0].created_at

    @property
    def is_live(self) -> bool:
        return any(sweep.status in LIVE for sweep in self.sweeps)

    @property
    def status(self) -> SweepStatus:
        """Of its sweeps the one that says most: what runs before what waits, what went wrong before what went well."""
        found = {sweep.status for sweep in self.sweeps}
        return next(status for status in STATUSES if status in found)

    @property
    def title(self) -> str:
        """What the person called it, else the protocol's name."""
        return str(protocol_of(self.sweeps[0]).get("title") or self.entry.title)


def protocol_of(sweep: Sweep) -> dict[str, Any]:
    """What the sweep knows of its study; {} when it was made by hand."""
    return dict(sweep.protocol or {})


def unavailable(entry: Entry) -> str:
    """Why it can't be started here, in one sentence; "" when it can."""
    kind = getattr(entry.module, "KIND", "")
    if kind and kind not in jobs.kinds():
        return f"It needs jobs of kind {kind!r}, which this installation does not have."
    return ""


def knobs_of(entry: Entry, given: Mapping[str, Any]) -> Knobs:
    """Checked knobs, `name` filled in. Raises Invalid with every broken rule below `knobs`."""
    with below("knobs"):
        try:
            return entry.knobs.model_validate({**given, "name": entry.name})
        except ValidationError as error:
            raise Invalid(specs.errors_of(error, given)) from None


def planned(
    entry: Entry, knobs: Knobs, spec: Mapping[str, Any], user: User | None = None, project: Project | None = None
) -> list[Planned]:
    """The sweeps that it would make, every one checked. Raises Invalid with what is wrong with any of them."""
    with below("spec"):
        specs.checked(plain.json(dict(spec)))
    with below("knobs"):
        found: list[Planned] = entry.module.plan(knobs, dict(spec))
    if len(found) > MOST_SWEEPS:
        raise Invalid.field(
            "knobs", f"This makes {len(found)} sweeps; at most {MOST_SWEEPS} start at once: ask for less."
        )
    errors: dict[str, FieldError] = {}
    for one in found:
        for item in _errors(one, user, project):
            errors.setdefault(f"{item['loc']} {item['msg']}", item)
    if errors:
        raise Invalid(list(errors.values()))
    return found


def start(
    *,
    entry: Entry,
    project: Project,
    user: User | None,
    knobs: Knobs,
    spec: Mapping[str, Any],
    name: str = "",
    tags: Iterable[str] = (),
    priority: int = 0,
    queue: str = "default",
) -> Study:
    """All its sweeps, or none. Raises Invalid."""
    group = uuid.uuid4().hex
    plans = planned(entry, knobs, spec, user, project)
    told = {"name": entry.name, "knobs": knobs.model_dump(mode="json"), "group": group, "title": name}
    about = {"project": project, "user": user, "tags": list(tags), "priority": priority, "queue": queue}
    return Study(group, entry, knobs, _make(plans, told, name or entry.title, about))


def next_of(study: Study) -> list[Planned]:
    """The sweeps by which it can go on: none while one of its own is not over, or where its protocol has no such."""
    follow_up = getattr(study.entry.module, "follow_up", None)
    if follow_up is None or study.is_live:
        return []
    found = [row for sweep in study.sweeps for row in rows.rows(sweep)]
    plans: list[Planned] = follow_up(study.knobs, found, _labels(study))
    return plans


def go_on(study: Study, user: User | None) -> list[Sweep]:
    """Makes these sweeps, for the person who asks. Raises Invalid where there is none to make."""
    first = study.sweeps[0]
    about = {"project": first.project, "user": user, "tags": first.tags, "priority": first.priority,
             "queue": first.queue_id}  # fmt: skip
    with transaction.atomic():
        Sweep.objects.select_for_update().get(pk=first.pk)  # so that pressing twice makes them once
        again = _study(list(_of_group(first.project, study.group)))
        plans = next_of(again) if again else []
        if again is None or not plans:
            raise Invalid.field("study", "There is nothing to go on with: its runs are not over, or all is measured.")
        told = {key: value for key, value in protocol_of(first).items() if key not in ("study", "labels")}
        return _make(plans, told, again.title, about, begin=len(again.sweeps) + 1)


def _make(
    plans: Iterable[Planned], told: Mapping[str, Any], title: str, about: Mapping[str, Any], begin: int = 1
) -> list[Sweep]:
    """All of these sweeps, or none; the first has the place `begin` in its study."""
    with transaction.atomic():
        return [
            actions.create(
                definition=one.definition,
                name=f"{title}: {one.name}"[:200],
                protocol={**told, "study": place, "labels": one.labels},
                **about,
            )
            for place, one in enumerate(plans, begin)
        ]


def study(project: Project, group: str) -> Study | None:
    """None where there is no such study, or its protocol is not installed any more."""
    return _study(list(_of_group(project, group)))


def _of_group(project: Project, group: str) -> QuerySet[Sweep]:
    return Sweep.objects.filter(project=project, protocol__group=group, deleted_at=None).order_by("id")


def study_of(sweep: Sweep) -> Study | None:
    """The study that the sweep belongs to; None when it was made by hand."""
    return study(sweep.project, group) if (group := protocol_of(sweep).get("group")) else None


def taken_as(sweep: Sweep, entry: Entry) -> Study:
    """Any sweep as if the protocol had made it: its first objective, everything else by default."""
    objective = sweep.definition["objective"][0]
    told: dict[str, Any] = {key: objective[key] for key in ("metric", "goal") if key in entry.knobs.model_fields}
    return Study("", entry, knobs_of(entry, told), [sweep])


def studies(project: Project, name: str = "") -> list[Study]:
    """Newest first; of one protocol only when it is named."""
    made = Sweep.objects.filter(project=project, protocol__group__isnull=False, deleted_at=None)
    groups: dict[str, list[Sweep]] = {}
    for sweep in (made.filter(protocol__name=name) if name else made).order_by("id"):
        groups.setdefault(protocol_of(sweep)["group"], []).append(sweep)
    found = [one for sweeps in groups.values() if (one := _study(sweeps)) is not None]
    return sorted(found, key=lambda one: one.sweeps[0].pk, reverse=True)


def analysed(study: Study) -> Result:
    """Recomputed from what its runs have left. Raises Invalid where the protocol refuses them (a leak)."""
    found = [row for sweep in study.sweeps for row in rows.rows(sweep)]
    series = series_of([row.run for row in found])
    result: Result = study.entry.module.analyse(study.knobs, found, series, _labels(study))
    return result


def _labels(study: Study) -> dict[int, dict[str, Any]]:
    return {sweep.pk: protocol_of(sweep).get("labels") or {} for sweep in study.sweeps}


def series_of(runs: Sequence[int]) -> Series:
    """Reads a metric of all runs at once, when it is first asked for."""
    known: dict[str, dict[int, Points]] = {}

    def series(run: int, metric: str) -> Points:
        if metric not in known:
            known[metric] = raw_of(runs, metric)
        return known[metric].get(run, Points.empty())

    return series


def _study(sweeps: list[Sweep]) -> Study | None:
    if not sweeps:
        return None
    told = protocol_of(sweeps[0])
    entry = registry.entries("protocols").get(str(told.get("name")))
    return Study(str(told["group"]), entry, knobs_of(entry, told["knobs"]), sweeps) if entry else None


def _errors(one: Planned, user: User | None, project: Project | None) -> list[FieldError]:
    try:
        checking.checked(plain.json(one.definition), user, project)
    except Invalid as error:
        return error.errors
    return []
