"""A project's ladders and fits as rows of tables, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Prefetch
from django.urls import NoReverseMatch, reverse

from webapp.accounts.models import Project
from webapp.pages.runs.describe import number_at
from webapp.pages.scaling.cells import power
from webapp.pages.scaling.fits import law_of, source_of
from webapp.pages.scaling.result import size_of
from webapp.pages.templatetags import hone as text
from webapp.runs.states import Status
from webapp.scaling import queries
from webapp.scaling.models import Fit, Ladder, Revision, Rung


class FitRow(NamedTuple):
    """`revision` is the latest, whatever became of it; numbers are those of the latest that succeeded."""

    fit: Fit
    law: str
    source: str
    size: str
    error: str
    is_inside: bool | None
    warnings: int
    revision: Revision | None
    at: datetime


class LadderRow(NamedTuple):
    ladder: Ladder
    url: str
    design: str
    budget: str
    done: int
    rungs: int
    status: str


def fit_rows(project: Project) -> list[FitRow]:
    newest = Revision.objects.filter(run__deleted_at=None).select_related("run").order_by("-number")
    return [_fit(fit) for fit in queries.fits_of(project).prefetch_related(Prefetch("revisions", newest, "newest"))]


def _fit(fit: Any) -> FitRow:
    revisions: list[Revision] = fit.newest
    last = revisions[0] if revisions else None
    good = next((one for one in revisions if one.run.status == Status.SUCCEEDED and one.run.result), None)
    result: Mapping[str, Any] = (good.run.result or {}) if good else {}
    holdout = result.get("holdout") or {}
    error = number_at(holdout, "mean_relative_error")
    return FitRow(
        fit=fit,
        law=law_of(fit.spec),
        source=source_of(fit.spec),
        size=size_of(result) if result else "",
        error="" if error is None else text.percent(error),
        is_inside=holdout.get("inside"),
        warnings=len(result.get("warnings") or []),
        revision=last,
        at=last.created_at if last else fit.created_at,
    )


def ladder_rows(project: Project) -> list[LadderRow]:
    rungs = Prefetch("rungs", Rung.objects.select_related("run"))
    found = Ladder.objects.filter(project=project, deleted_at=None).select_related("fit").prefetch_related(rungs)
    return [_ladder(ladder) for ladder in found.order_by("-id")]


def _ladder(ladder: Ladder) -> LadderRow:
    runs = [rung.run for rung in ladder.rungs.all() if rung.run is not None]
    done = sum(run.status == Status.SUCCEEDED for run in runs)
    told: Mapping[str, Any] = ladder.definition
    design = told.get("design")
    return LadderRow(
        ladder, ladder_url(ladder), str(design.get("name", "") if isinstance(design, Mapping) else design or ""),
        power(told.get("target_flops")), done, len(ladder.rungs.all()), _status([run.status for run in runs]),
    )  # fmt: skip


def _status(statuses: list[str]) -> str:
    """The word of the rungs together: running while one is, failed where one can't be fitted."""
    for status in (Status.RUNNING, Status.STARTING, Status.QUEUED, Status.PAUSED):
        if status in statuses:
            return Status.RUNNING if status == Status.STARTING else status
    return Status.SUCCEEDED if statuses and set(statuses) <= {Status.SUCCEEDED} else "ended" if statuses else ""


def ladder_url(ladder: Ladder) -> str:
    """ "" where this installation has no page of ladders."""
    try:
        return reverse("ladder", args=[ladder.project.slug, ladder.pk])
    except NoReverseMatch:
        return ""
