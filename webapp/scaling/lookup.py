"""A scaling fit's spec with its points looked up: what is queued is what will be fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from gpu_jobs.errors import DataError
from gpu_jobs.law import LawKnobs
from gpu_jobs.points import Columns, Points, RunPoints
from gpu_jobs.spec import JobSpec
from webapp.accounts.errors import Invalid, below
from webapp.accounts.models import Project
from webapp.scaling import needs as needing
from webapp.scaling.needs import Needs
from webapp.scaling.points import DERIVED, NothingYet, resolve

if TYPE_CHECKING:
    from gpu_jobs.context import Context
    from gpu_jobs.kinds.scaling_fit import Spec


def prepare(spec: JobSpec, project: Project, before: Mapping[str, Any] | None) -> JobSpec:
    """Called for every scaling fit that is queued; `before` is the spec of the run that it clones. Raises Invalid."""
    return looked_up(cast("Spec", spec), project, before)


def looked_up(spec: Spec, project: Project, before: Mapping[str, Any] | None = None) -> Spec:
    """The spec with the columns of its points, and of its second law's, filled in.

    Columns that are there stay, so that a clone fits what was fitted; a clone with another query or x is looked up
    anew. Raises Invalid at points... and then.points...; NothingYet where more runs could mend it.
    """
    before = before or {}
    filled = _filled(spec, spec.law, spec.points, needing.of_spec(spec), project, before.get("points"))
    changes: dict[str, Any] = {"points": filled}
    if spec.then is not None and spec.then.points is not None:
        earlier, needs = (before.get("then") or {}).get("points"), needing.of_second(spec)
        with below("then"):
            second = _filled(spec, spec.then.law, spec.then.points, needs, project, earlier)
        changes["then"] = spec.then.model_copy(update={"points": second})
    return spec.model_copy(update=changes)


def emptied(spec: Spec) -> Spec:
    """Without what its queries found: what a fit keeps."""
    changes: dict[str, Any] = {"points": _emptied(spec.points)}
    if spec.then is not None and spec.then.points is not None:
        changes["then"] = spec.then.model_copy(update={"points": _emptied(spec.then.points)})
    return spec.model_copy(update=changes)


def sources(spec: Spec) -> list[Points]:
    """Its points and, where it has some of its own, its second law's."""
    return [spec.points, *([spec.then.points] if spec.then is not None and spec.then.points is not None else [])]


def _emptied(points: Points) -> Points:
    return points.model_copy(update={"columns": None, "runs": None}) if isinstance(points, RunPoints) else points


def _filled(spec: Spec, law: LawKnobs, points: Points, needs: Needs, project: Project, earlier: Any) -> Points:
    if not isinstance(points, RunPoints):
        return points
    if points.columns is not None and not _asks_otherwise(points, earlier):
        _refuse_missing(points.columns, needs)
        return points
    found = resolve(project, points, needs)
    _refuse_few(spec, law, found)
    return found


def _asks_otherwise(points: RunPoints, earlier: Any) -> bool:
    if not isinstance(earlier, dict) or earlier.get("source") != "runs":
        return False
    return (points.query, points.x) != (earlier.get("query"), earlier.get("x"))


def _refuse_missing(columns: Columns, needs: Needs) -> None:
    missing = [name for name in needs if name not in columns and name not in DERIVED]
    if missing:
        message = f"The points that are kept here have no {', '.join(missing)}: set columns to null to look them up."
        raise Invalid([{"loc": ["points", "columns"], "msg": message}])


def _refuse_few(spec: Spec, law: LawKnobs, points: RunPoints) -> None:
    """Counts what is left to fit as the job will count it, and refuses before a worker has it."""
    from gpu_jobs.engine.laws import reducing
    from gpu_jobs.engine.laws.table import divided, read

    reads = list(needing.of_law(law))
    try:
        rows, held, _ = divided(read(points, cast("Context", None), law, reads), spec.holdout)  # a context has uploads
        fitted = len((reducing.reduce(law, rows) or rows).rows)
    except DataError as error:
        raise NothingYet([{"loc": ["points", "query"], "msg": f"{error}."}]) from None
    least = len(law.free) + (2 if spec.few_points == "refuse" else 0)
    if fitted < least:
        kept = f", {len(held.rows)} are held out" if len(held.rows) else ""
        found = f"{len(points.runs or ()):,} runs are found{kept} and {fitted} points are left to fit"
        message = f"{found}: law {law.name!r} with {len(law.free)} free parameters needs {least} or more."
        raise NothingYet([{"loc": ["points", "query"], "msg": message}])
