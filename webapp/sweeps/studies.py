"""A study: the sweeps that one start of a protocol has made, what they were asked, and what they show together.

Each sweep holds its share of it in `protocol`: {"name", "knobs", "group": what its siblings share, "study": its place
from 1, "labels": which part of the study it is}. Nothing else is stored: the result is computed from the runs.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from pydantic import ValidationError

from gpu_jobs import registry as jobs
from webapp.accounts.errors import FieldError, Invalid
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
    with _below("knobs"):
        try:
            return entry.knobs.model_validate({**given, "name": entry.name})
        except ValidationError as error:
            raise Invalid(specs.errors_of(error, given)) from None


def planned(
    entry: Entry, knobs: Knobs, spec: Mapping[str, Any], user: User | None = None, project: Project | None = None
) -> list[Planned]:
    """The sweeps that it would make, every one checked. Raises Invalid with what is wrong with any of them."""
    with _below("spec"):
        specs.checked(plain.json(dict(spec)))
    with _below("knobs"):
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
    group, tags = uuid.uuid4().hex, list(tags)
    plans = planned(entry, knobs, spec, user, project)
    told = {"name": entry.name, "knobs": knobs.model_dump(mode="json"), "group": group, "title": name}
    with transaction.atomic():
        sweeps = [
            actions.create(
                project=project,
                user=user,
                definition=one.definition,
                name=f"{name or entry.title}: {one.name}"[:200],
                tags=tags,
                priority=priority,
                queue=queue,
                protocol={**told, "study": place, "labels": one.labels},
            )
            for place, one in enumerate(plans, 1)
        ]
    return Study(group, entry, knobs, sweeps)


def study(project: Project, group: str) -> Study | None:
    """None where there is no such study, or its protocol is not installed any more."""
    found = list(Sweep.objects.filter(project=project, protocol__group=group, deleted_at=None).order_by("id"))
    return _study(found)


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
    labels = {sweep.pk: protocol_of(sweep).get("labels") or {} for sweep in study.sweeps}
    result: Result = study.entry.module.analyse(study.knobs, found, series_of([row.run for row in found]), labels)
    return result


def series_of(runs: Sequence[int]) -> Series:
    """Reads a metric of all runs at once, when it is first asked for."""
    known: dict[str, dict[int, Points]] = {}

    def series(run: int, metric: str) -> Points:
        if metric not in known:
            known[metric] = raw_of(runs, metric)
        return known[metric].get(run, Points.empty())

    return series


@contextmanager
def _below(field: str) -> Iterator[None]:
    """What is wrong inside is wrong with a part of this field."""
    try:
        yield
    except Invalid as error:
        raise Invalid([{"loc": [field, *item["loc"]], "msg": item["msg"]} for item in error.errors]) from None


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
