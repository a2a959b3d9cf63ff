"""The numbers around every page: what the nav counts, and the slots. One statement, built once: each page asks it."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db.models import F, Func, IntegerField, QuerySet, Subquery

from webapp.accounts.prepared import Prepared
from webapp.runs.actions.outside import EXTERNAL
from webapp.runs.models import Run, Worker
from webapp.runs.queries import living_workers
from webapp.runs.states import ACTIVE, Status
from webapp.scaling.models import Fit, Ladder
from webapp.sweeps.models import Sweep
from webapp.sweeps.states import LIVE


class Capacity(NamedTuple):
    busy: int
    total: int

    @property
    def text(self) -> str:
        return f"{self.busy} of {self.total} slots busy" if self.total else "no worker"

    @property
    def marks(self) -> list[bool]:
        """One a slot, True when it is busy; a dozen at most."""
        shown = min(self.total, 12)
        busy = round(self.busy * shown / self.total) if self.total else 0
        return [place < busy for place in range(shown)]


class Counts(NamedTuple):
    """`sweeps` that are still looked after, and `scaling`, fits and ladders, are of the project; the rest of all."""

    sweeps: int
    scaling: int
    waiting: int
    workers: int
    capacity: Capacity


def counts(project_id: int | None = None) -> Counts:
    """`capacity`: slots of living workers, and how many of them are taken. External runs run elsewhere."""
    row = _COUNTS.first(NOWHERE if project_id is None else project_id)
    assert row is not None
    workers, slots, busy, waiting, sweeps, fits, ladders = row
    return Counts(sweeps, fits + ladders, waiting, workers, Capacity(min(busy or 0, slots or 0), slots or 0))


NOWHERE = -1  # the number of no project


def _counted(project_id: int) -> QuerySet[Worker, Any]:
    """One row. Aggregates written as plain functions: of no rows they are one row, too."""
    number = Func(F("pk"), function="COUNT", output_field=IntegerField())
    of = {"project_id": project_id, "deleted_at": None}
    active = Run.objects.filter(status__in=ACTIVE, deleted_at=None).exclude(kind=EXTERNAL)
    numbered: list[QuerySet[Any]] = [
        Run.objects.filter(status=Status.QUEUED, deleted_at=None), Sweep.objects.filter(**of, status__in=LIVE),
        Fit.objects.filter(**of), Ladder.objects.filter(**of),
    ]  # fmt: skip
    return living_workers().order_by().values_list(
        number, _sum("slots"), Subquery(active.order_by().values_list(_sum("gpus"))),
        *(Subquery(some.order_by().values_list(number)) for some in numbered),
    )  # fmt: skip


def _sum(field: str) -> Func:
    return Func(F(field), function="SUM", output_field=IntegerField())


_COUNTS = Prepared(_counted, NOWHERE)
