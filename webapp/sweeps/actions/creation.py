"""How sweeps come into being and go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from webapp.accounts.errors import FieldError, Invalid
from webapp.accounts.models import Project, User
from webapp.runs import fields, plain
from webapp.sweeps import checking
from webapp.sweeps.actions.control import cancel_runs
from webapp.sweeps.actions.transitions import tell
from webapp.sweeps.models import Schedule, Sweep
from webapp.sweeps.states import LIVE, SweepStatus


@transaction.atomic
def create(
    *,
    project: Project,
    user: User | None,
    definition: Mapping[str, Any],
    name: str = "",
    tags: Iterable[str] = (),
    priority: int = 0,
    queue: str = "default",
    protocol: dict[str, Any] | None = None,
    schedule: Schedule | None = None,
) -> Sweep:
    """A running sweep; a worker asks for its first points within a second. Raises Invalid, then nothing is written."""
    checked = checking.checked(plain.json(dict(definition)), user, project)
    errors: list[FieldError] = []
    columns = fields.checked(
        errors, name=name or _default_name(checked.spec), tags=tags, priority=priority, queue=queue
    )
    if errors:
        raise Invalid(errors)
    sweep = Sweep.objects.create(
        project=project,
        definition=checked.model_dump(mode="json"),
        protocol=protocol,
        schedule=schedule,
        created_by=user,
        **columns,
    )
    sweep.refresh_from_db()
    tell(sweep, f"Created with room for {checked.trials} trials.", user)
    return sweep


@transaction.atomic
def delete(sweep: Sweep, user: User | None) -> None:
    """Hides the sweep at once and cancels what it has in the queue or training; its runs stay where they are."""
    hidden = Sweep.objects.filter(pk=sweep.pk, deleted_at=None).update(deleted_at=Now())
    sweep.refresh_from_db()
    if not hidden:
        return
    if sweep.status in LIVE:
        Sweep.objects.filter(pk=sweep.pk).update(status=SweepStatus.STOPPED, ended_at=Now())
        cancel_runs(sweep)
    tell(sweep, "Deleted.", user)


def _default_name(spec: dict[str, Any]) -> str:
    method = spec.get("method")
    words = [
        str(spec.get("kind", "")),
        *([str(method["name"])] if isinstance(method, dict) and "name" in method else []),
    ]
    return " ".join([*words, "sweep"])
