"""Every read of ladders: who sees them, and how far their rungs are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from django.db.models import QuerySet

from webapp.accounts.models import Project, User
from webapp.accounts.roles import projects_of
from webapp.metrics.queries import summaries
from webapp.runs.models import Run
from webapp.runs.states import STOPPABLE, Status
from webapp.scaling import queries, reading
from webapp.scaling.definition import Definition
from webapp.scaling.models import Ladder, Revision, Rung
from webapp.scaling.reading import Reading

LOSS = "eval/loss"


class Foreseen(NamedTuple):
    """Of a held-out rung: the loss that the fit says, where a new measurement should lie, and whether it does."""

    loss: float
    low: float | None
    high: float | None
    inside: bool | None


class Row(NamedTuple):
    """`loss` is the last on the evaluation split of a run that has succeeded; `run` is None once it is deleted."""

    rung: Rung
    run: Run | None
    loss: float | None
    foreseen: Foreseen | None


class Standing(NamedTuple):
    """`spent` is the sum of 6 N D of runs that have succeeded, `asked` that of all."""

    rows: list[Row]
    counts: dict[str, int]  # of runs by status, those that there are
    spent: float
    asked: float
    latest: Revision | None

    @property
    def is_live(self) -> bool:
        return any(row.run is not None and row.run.status in STOPPABLE for row in self.rows)


def visible(user: User) -> QuerySet[Ladder]:
    """The ladders that a person can read, deleted ones left out."""
    found = Ladder.objects.filter(deleted_at=None, project__in=projects_of(user))
    return found.select_related("project", "created_by", "fit")


def ladders_of(project: Project) -> QuerySet[Ladder]:
    """Newest first, deleted ones left out."""
    return Ladder.objects.filter(project=project, deleted_at=None).select_related("created_by", "fit").order_by("-id")


def definition(ladder: Ladder) -> Definition:
    return Definition.model_validate(ladder.definition)


def counts_of(ladders: Sequence[Ladder]) -> dict[int, dict[str, int]]:
    """{ladder id: {status: runs}}; a run that was deleted counts as cancelled. One query."""
    found: dict[int, dict[str, int]] = {ladder.pk: {} for ladder in ladders}
    rungs = Rung.objects.filter(ladder__in=ladders).order_by()
    for pk, status, deleted_at in rungs.values_list("ladder", "run__status", "run__deleted_at"):
        known = str(status) if status and deleted_at is None else str(Status.CANCELLED)
        found[pk][known] = found[pk].get(known, 0) + 1
    return found


def standing(ladder: Ladder) -> Standing:
    """How far it is now."""
    latest = queries.latest(ladder.fit) if ladder.fit is not None and ladder.fit.deleted_at is None else None
    rungs = list(ladder.rungs.select_related("run"))
    runs = {rung.pk: rung.run for rung in rungs if rung.run is not None and rung.run.deleted_at is None}
    losses = _losses(runs.values())
    found = reading.read(latest.run) if latest is not None else None
    rows = [_row(rung, runs.get(rung.pk), losses, found) for rung in rungs]
    spent = math.fsum(row.rung.plan["C"] for row in rows if row.run is not None and row.run.status == Status.SUCCEEDED)
    return Standing(rows, counts_of([ladder])[ladder.pk], spent, math.fsum(row.rung.plan["C"] for row in rows), latest)


def is_fit_due(ladder: Ladder, found: Standing) -> bool:
    """Whether a run has ended of which the fit that is kept current does not know yet."""
    fit = ladder.fit
    if fit is None or fit.deleted_at is not None or not fit.is_kept_current or fit.notice:
        return False
    ended = [row.run.ended_at for row in found.rows if row.loss is not None and row.run is not None]
    last = max((moment for moment in ended if moment is not None), default=None)
    return last is not None and (found.latest is None or found.latest.created_at < last)


def _losses(runs: Iterable[Run]) -> dict[int, float]:
    ended = [run.pk for run in runs if run.status == Status.SUCCEEDED]
    last = {pk: each[LOSS].last for pk, each in summaries(ended, [LOSS]).items() if LOSS in each}
    return {pk: value for pk, value in last.items() if value is not None}


def _row(rung: Rung, run: Run | None, losses: Mapping[int, float], found: Reading | None) -> Row:
    loss = losses.get(run.pk) if run is not None else None
    return Row(rung, run, loss, _foreseen(rung, loss, found) if found is not None and rung.is_held_out else None)


def _foreseen(rung: Rung, loss: float | None, found: Reading) -> Foreseen | None:
    """None for a law that does not tell the loss of a size and its tokens."""
    if found.law.target != "loss":
        return None
    told = foreseen(found, rung.plan["N"], rung.plan["D"])
    low, high = first(told.interval_low), first(told.interval_high)
    inside = low <= loss <= high if low is not None and high is not None and loss is not None else None
    return Foreseen(float(told.value[0]), low, high, inside)


def foreseen(found: Reading, parameters: float, tokens: float) -> Any:
    """What the fit says of a size and its tokens; arrays of one."""
    return found.foreseen({name: np.array([value]) for name, value in variables(found, parameters, tokens).items()})


def variables(found: Reading, parameters: float, tokens: float) -> dict[str, float]:
    """What the law reads of a run."""
    own = {"N": parameters, "D": tokens, "C": 6 * parameters * tokens, "M": tokens / parameters}
    return {name: float(own[name]) for name in found.law.variables}


def first(values: Any) -> float | None:
    """The first number of an array; None where there is none."""
    return None if values is None or not math.isfinite(values[0]) else float(values[0])
