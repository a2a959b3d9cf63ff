"""What a schedule does: queues a run or a sweep, told as the body of POST /runs or /sweeps less its project."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gpu_jobs.spec import references
from webapp.accounts.errors import below
from webapp.accounts.models import Project, User
from webapp.runs import actions as runs
from webapp.runs import fields, specs
from webapp.runs.actions.inputs import resolve
from webapp.runs.models import Run
from webapp.sweeps.errors import FieldError, Invalid
from webapp.sweeps.models import Schedule, Sweep
from webapp.sweeps.scheduling.times import local

MUST_BE = 'action must be {"run": {...}} or {"sweep": {...}}: the body of POST /runs or /sweeps without its project.'
DATE_LENGTH = len(" 2026-12-01 08:00")


class RunBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    spec: dict[str, Any]
    name: str = ""
    tags: list[str] = []
    priority: int = 0
    queue: str = "default"
    baseline: int | None = None


class SweepBody(BaseModel):
    """What else there is belongs to the sweep's definition."""

    model_config = ConfigDict(extra="allow")

    name: str = ""
    tags: list[str] = []
    priority: int = 0
    queue: str = "default"
    protocol: dict[str, Any] | None = None

    def arguments(self) -> dict[str, Any]:
        """Of webapp.sweeps.actions.create."""
        about = {name: getattr(self, name) for name in type(self).model_fields}
        return {**about, "definition": self.model_extra or {}}


Body = TypeVar("Body", RunBody, SweepBody)


def check(action: Any, project: Project, user: User | None) -> None:
    """Raises Invalid with all that would be refused if this person queued it now; `loc` begins with "action"."""
    with below("action"), below(kind := kind_of(action)):
        if kind == "run":
            _check_run(_parsed(RunBody, action[kind]), project, user)
        else:
            _check_sweep(_parsed(SweepBody, action[kind]), project, user)


def begin(schedule: Schedule, due_at: datetime) -> Run | Sweep:
    """Queues it for the schedule's person, named after the time that it is for. Raises Invalid like `check`."""
    project, user = schedule.project, schedule.created_by
    with below("action"), below(kind := kind_of(schedule.action)):
        if kind == "run":
            body = _parsed(RunBody, schedule.action[kind])
            name = _dated(body.name, schedule, due_at)
            return runs.submit(project=project, user=user, **{**body.model_dump(), "name": name})
        from webapp.sweeps import actions as sweeps

        sweep = _parsed(SweepBody, schedule.action[kind]).arguments()
        name = _dated(sweep["name"], schedule, due_at)
        return sweeps.create(project=project, user=user, schedule=schedule, **{**sweep, "name": name})


def kind_of(action: Any) -> str:
    """ "run" or "sweep". Raises Invalid."""
    if not isinstance(action, dict) or len(action) != 1 or next(iter(action)) not in ("run", "sweep"):
        raise Invalid([{"loc": [], "msg": MUST_BE}])
    return str(next(iter(action)))


def _check_run(body: RunBody, project: Project, user: User | None) -> None:
    with below("spec"):
        parsed = specs.checked(body.spec)
    errors: list[FieldError] = []
    for reference in references(parsed):
        resolve(errors, body.spec, reference, user, project)
    fields.checked(errors, name=body.name or "unnamed", tags=body.tags, priority=body.priority, queue=body.queue)
    fields.baseline(errors, body.baseline, project)
    if errors:
        raise Invalid(errors)


def _check_sweep(body: SweepBody, project: Project, user: User | None) -> None:
    from webapp.sweeps import checking  # samplers and stoppers are loaded with it

    checking.checked(body.model_extra or {}, user, project)
    errors: list[FieldError] = []
    fields.checked(errors, name=body.name or "unnamed", tags=body.tags, priority=body.priority, queue=body.queue)
    if errors:
        raise Invalid(errors)


def _parsed(model: type[Body], body: Any) -> Body:
    try:
        return model.model_validate(body, strict=True)
    except ValidationError as error:
        raise Invalid(specs.errors_of(error, body if isinstance(body, dict) else {})) from None


def _dated(name: str, schedule: Schedule, due_at: datetime) -> str:
    """Told apart by the time in the schedule's own zone; the name gives way where both are too long."""
    date = f" {local(due_at, schedule.timezone):%Y-%m-%d %H:%M}"
    return (name or schedule.name)[: fields.LONGEST_NAME - DATE_LENGTH] + date
