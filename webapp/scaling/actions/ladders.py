"""How ladders come into being, get another rung, and go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from webapp.accounts.errors import FieldError, Invalid
from webapp.accounts.models import Project, User
from webapp.runs import actions as run_actions
from webapp.runs import fields, plain
from webapp.runs.models import Run
from webapp.runs.states import STOPPABLE
from webapp.scaling import definition as definitions
from webapp.scaling import ladder_fit, proposals
from webapp.scaling.actions import fits
from webapp.scaling.definition import MOST_RUNGS, Definition
from webapp.scaling.models import Ladder, Rung
from webapp.scaling.proposals import Proposed
from webapp.sweeps.actions.control import cancel_all


@transaction.atomic
def create_ladder(
    *,
    project: Project,
    user: User | None,
    definition: Mapping[str, Any],
    name: str = "",
    tags: Iterable[str] = (),
    priority: int = 0,
    queue: str = "default",
) -> Ladder:
    """Its rungs are queued, the cheapest first, and its fit waits for them. Raises Invalid; then nothing is written."""
    checked = definitions.checked(plain.json(dict(definition)))
    found = proposals.proposal(checked, user, project)
    errors: list[FieldError] = []
    called = name or f"Ladder to {checked.target_flops:.3g} FLOPs".replace("e+", "e")
    columns = fields.checked(errors, name=called, tags=tags, priority=priority, queue=queue)
    if errors:
        raise Invalid(errors)
    ladder = Ladder.objects.create(
        project=project, name=columns["name"], definition=checked.model_dump(mode="json"), created_by=user
    )
    for number, each in enumerate(found.rungs, 1):
        _queue(ladder, user, number, each, tags=columns["tags"], priority=priority, queue=queue)
    _fit(ladder, checked, user)
    ladder.refresh_from_db()
    return ladder


@transaction.atomic
def add_rung(ladder: Ladder, user: User | None, *, parameters: float, tokens: float) -> Rung:
    """Queues one more run, which is fitted. Raises Invalid."""
    ladder = Ladder.objects.select_for_update().get(pk=ladder.pk)  # so that no number is given twice
    if ladder.deleted_at is not None:
        raise Invalid.field("ladder", f"Ladder {ladder.pk} is deleted.")
    rungs = list(ladder.rungs.select_related("run"))
    if len(rungs) >= MOST_RUNGS:
        raise Invalid.field("ladder", f"A ladder has at most {MOST_RUNGS} runs.")
    checked = Definition.model_validate(ladder.definition)
    plans = [rung.plan for rung in rungs]
    (found,) = proposals.further(checked, [(parameters, tokens)], user, ladder.project, plans)
    return _queue(ladder, user, max((rung.number for rung in rungs), default=0) + 1, found, **_about(rungs))


@transaction.atomic
def cancel_ladder(ladder: Ladder) -> int:
    """Cancels what waits or trains; how many runs that were."""
    found = list(unfinished(ladder))
    cancel_all(found)
    return len(found)


@transaction.atomic
def delete_ladder(ladder: Ladder) -> None:
    """Hides the ladder and cancels what it has in the queue or training; its runs stay, and its fit as it is."""
    if not Ladder.objects.filter(pk=ladder.pk, deleted_at=None).update(deleted_at=Now()):
        return
    cancel_ladder(ladder)
    if ladder.fit is not None and ladder.fit.deleted_at is None and ladder.fit.is_kept_current:
        fits.edit_fit(ladder.fit, is_kept_current=False)


def unfinished(ladder: Ladder) -> QuerySet[Run]:
    runs = Run.objects.filter(rung__ladder=ladder, deleted_at=None, status__in=STOPPABLE)
    return runs.select_related("project").order_by("id")


def _queue(
    ladder: Ladder, user: User | None, number: int, found: Proposed, *, tags: Iterable[str], priority: int, queue: str
) -> Rung:
    try:
        run = run_actions.submit(
            project=ladder.project,
            user=user,
            spec=found.spec,
            name=f"{ladder.name[:180]} rung {number}",
            tags=[*tags, ladder_fit.tag(ladder), f"rung-{number}"],
            priority=priority,
            queue=queue,
            share=f"ladder-{ladder.pk}",
        )
    except Invalid as error:
        raise Invalid([{"loc": _placed(item["loc"]), "msg": item["msg"]} for item in error.errors]) from None
    return Rung.objects.create(ladder=ladder, number=number, run=run, plan=found.plan, is_held_out=found.is_held_out)


def _placed(loc: list[str | int]) -> list[str | int]:
    """What is wrong with a rung's spec is wrong with the base."""
    return ["base", *loc[1:]] if loc[:1] == ["spec"] else loc


def _about(rungs: list[Rung]) -> dict[str, Any]:
    """Tags, priority and queue as the first rung that is still there has them."""
    run = next((rung.run for rung in rungs if rung.run is not None), None)
    if run is None:
        return {"tags": (), "priority": 0, "queue": "default"}
    own = [tag for tag in run.tags if not ladder_fit.is_own(tag)]
    return {"tags": own, "priority": run.priority, "queue": run.queue_id}


def _fit(ladder: Ladder, checked: Definition, user: User | None) -> None:
    """Raises Invalid at the field of the definition that the fit has from it."""
    held_out = [rung.plan for rung in ladder.rungs.filter(is_held_out=True)]
    spec = ladder_fit.spec(ladder, checked, held_out)
    try:
        ladder.fit = fits.create_fit(
            project=ladder.project, user=user, spec=spec, name=ladder.name, is_kept_current=True
        )
    except Invalid as error:
        raise Invalid([{"loc": item["loc"][1:], "msg": item["msg"]} for item in error.errors]) from None
    ladder.save(update_fields=["fit"])
