"""Every read of fits: who sees them, their revisions, what was measured after it was predicted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import QuerySet

from webapp.accounts.models import Project, User
from webapp.accounts.roles import projects_of
from webapp.runs.states import FINAL, Status
from webapp.scaling.models import Fit, Revision


class Later(NamedTuple):
    """A measured point, and the last revision that knew nothing of it: what that one says here is a prediction."""

    revision: Revision
    run: int
    at: dict[str, float]  # the law's variables
    measured: float


def visible(user: User) -> QuerySet[Fit]:
    """The fits that a person can read, deleted ones left out."""
    found = Fit.objects.filter(deleted_at=None, project__in=projects_of(user))
    return found.select_related("project", "created_by")


def fits_of(project: Project) -> QuerySet[Fit]:
    """Newest first."""
    return Fit.objects.filter(project=project, deleted_at=None).select_related("created_by").order_by("-id")


def fit_of(project: Project, fit_id: int) -> Fit | None:
    return fits_of(project).select_related("project").filter(pk=fit_id).first()


def revisions(fit: Fit) -> QuerySet[Revision]:
    """Newest first, without those whose run was deleted, each with its run."""
    living = Revision.objects.filter(fit=fit, run__deleted_at=None)
    return living.select_related("run__project").order_by("-number")


def latest(fit: Fit) -> Revision | None:
    """The last whose run succeeded."""
    return latest_of([fit]).get(fit.pk)


def pending(fit: Fit) -> Revision | None:
    """The last whose run is not over."""
    return pending_of([fit]).get(fit.pk)


def latest_of(fits: Iterable[Fit]) -> dict[int, Revision]:
    """{fit id: its latest}; fits without one are left out. One query."""
    return _last(_of(fits).filter(run__status=Status.SUCCEEDED))


def pending_of(fits: Iterable[Fit]) -> dict[int, Revision]:
    """{fit id: its pending one}; fits without one are left out. One query."""
    return _last(_of(fits).exclude(run__status__in=FINAL))


def measured_later(fit: Fit) -> list[Later]:
    """The latest revision's points, held-out ones among them, that an earlier revision had not, by run.

    Each is told with the last revision before the run was first among the points. Revisions of another law or target
    are passed over, and a law that goes through optima has no such points.
    """
    last = latest(fit)
    if last is None or not (points := _points(last.run.result)):
        return []
    law = (last.run.result or {})["law"]
    known = _known(fit, law["name"], law["target"])
    found = []
    for run, (at, measured) in sorted(points.items()):
        first = next((index for index, (_, runs) in enumerate(known) if run in runs), len(known))
        if first:
            found.append(Later(known[first - 1][0], run, at, measured))
    return found


def _of(fits: Iterable[Fit]) -> QuerySet[Revision]:
    return Revision.objects.filter(fit__in=[fit.pk for fit in fits], run__deleted_at=None)


def _last(found: QuerySet[Revision]) -> dict[int, Revision]:
    last = found.order_by("fit_id", "-number").distinct("fit_id").select_related("run__project")
    return {revision.fit_id: revision for revision in last}


def _points(result: Any) -> dict[int, tuple[dict[str, float], float]]:
    """{run: where, measured} of the fitted and the held-out points; empty where points name no run or no variable."""
    law, points = result["law"], result["points"]
    names, columns = list(law["variables"]), points["columns"]
    if not points["runs"] or not {*names, law["target"]} <= columns.keys():
        return {}
    rows = zip(points["runs"], *(columns[name] for name in [*names, law["target"]]), strict=True)
    found = {run: (dict(zip(names, at, strict=True)), measured) for run, *at, measured in rows}
    held = (result["holdout"] or {}).get("points", [])
    return found | {each["run"]: (each["at"], each["measured"]) for each in held}


def _known(fit: Fit, law: str, target: str) -> list[tuple[Revision, set[int]]]:
    """The revisions of this law that have succeeded, oldest first, each with the runs that it knew."""
    paths = ("run__result__points__runs", "run__result__holdout__points")
    done = Revision.objects.filter(
        fit=fit, run__deleted_at=None, run__status=Status.SUCCEEDED,
        run__result__law__name=law, run__result__law__target=target,
    ).order_by("number")  # fmt: skip
    told = {pk: {*(fitted or []), *(each["run"] for each in held or [])}
            for pk, fitted, held in done.values_list("pk", *paths)}  # fmt: skip
    rows = Revision.objects.in_bulk(told)
    return [(rows[pk], runs) for pk, runs in told.items()]
