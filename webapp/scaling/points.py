"""The points of a law from runs: a query finds the runs that have succeeded, and each gives a row of columns.

Every usual column of `places.USUAL` is there for the asking, and so is any other that `points.x` or its own name finds:
a metric, facts.a.b, result.a.b, spec.a.b. A run that lacks a column has null there; the job drops and counts its row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from django.db.models import QuerySet
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform, KeyTransform

from gpu_jobs.points import Columns, Points, RunPoints, TablePoints
from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, User
from webapp.metrics.queries import summaries
from webapp.runs.models import Run
from webapp.runs.states import Status
from webapp.runs.tables import table
from webapp.scaling.needs import Needs
from webapp.scaling.places import USUAL, Cell, Metric, Path, Place, candidates, paths_of, value

MOST_RUNS = 50_000
DERIVED = {"C": ("N", "D"), "M": ("N", "D")}  # what the job computes where no run tells it


class NothingYet(Invalid):
    """There are no points, or too few, to fit now; there may be once more runs have succeeded."""


def resolve(project: Project, points: RunPoints, needs: Needs | None = None) -> RunPoints:
    """The points with columns and runs as they are now, in the order of the runs' numbers.

    `needs` are the columns that must be told by some run; without it, it is every usual column that some run tells.
    Raises Invalid at points.query or points.x.<column>; NothingYet where a run more could mend it. Two queries.
    """
    _check_places(points)
    wanted = _wanted(points, needs)
    runs = found(project, points.query)
    columns, numbers = _read(runs, wanted)
    if not numbers:
        message = f"No run that has succeeded is found by {points.query!r}: the project has none yet, or widen it."
        raise NothingYet([{"loc": ["points", "query"], "msg": message}])
    missing = [name for name, cells in columns.items() if all(cell is None for cell in cells)]
    if needs is not None:
        _refuse_missing(points, needs, missing, len(numbers))
    _fill_compute(columns, missing)
    kept: Columns = {name: list(cells) for name, cells in columns.items() if name not in missing}
    return points.model_copy(update={"columns": kept, "runs": numbers})


def found(project: Project, query: str) -> QuerySet[Run]:
    """The project's runs that have succeeded and match, as the runs page understands the query; a fit is no point.

    Raises Invalid at points.query.
    """
    living = Run.objects.filter(project=project, deleted_at=None, status=Status.SUCCEEDED).exclude(kind="scaling_fit")
    nobody = cast(User, None)  # who may see what is not asked: the runs are given
    try:
        return table(nobody, q=query, runs=living)
    except Invalid as error:
        raise Invalid([{"loc": ["points", "query"], "msg": item["msg"]} for item in error.errors]) from None


def hash_of(*points: Points) -> str:
    """Tells whether another look has found other points: a digest of the columns and runs."""
    held = [[getattr(each, "columns", None), getattr(each, "runs", None), _upload(each)] for each in points]
    return hashlib.sha256(json.dumps(held, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _upload(points: Points) -> int | None:
    return None if isinstance(points, RunPoints | TablePoints) else getattr(points, "upload", None)


def _check_places(points: RunPoints) -> None:
    errors = [name for name, text in points.x.items() if not text.strip() or "\x00" in text]
    if errors:
        message = "Say where it stands: a metric, or facts., result. or spec. and the names of fields."
        raise Invalid([{"loc": ["points", "x", name], "msg": message} for name in errors])


def _wanted(points: RunPoints, needs: Needs | None) -> dict[str, list[Place]]:
    """Each column and where it is looked for. What the job can compute brings along what it computes it of."""
    units = dict.fromkeys(USUAL, "") if needs is None else dict(needs)
    for name, sources in DERIVED.items():
        if name in units:
            units |= {source: "" for source in sources if source not in units and source not in points.compute}
    units |= {name: "" for name in points.x if name not in units}
    return {name: candidates(name, points.x.get(name), unit) for name, unit in units.items()}


def _read(runs: QuerySet[Run], wanted: Mapping[str, Sequence[Place]]) -> tuple[dict[str, list[Cell]], list[int]]:
    places = [place for each in wanted.values() for place in each]
    paths, metrics = paths_of(places), {place.name for place in places if isinstance(place, Metric)}
    expressions = {f"path_{index}": _expression(path) for index, path in enumerate(paths)}
    rows = list(runs.annotate(**expressions).order_by("id").values_list("id", *expressions)[: MOST_RUNS + 1])
    if len(rows) > MOST_RUNS:
        raise Invalid([{"loc": ["points", "query"], "msg": f"It finds more than {MOST_RUNS:,} runs: narrow it."}])
    told = summaries([row[0] for row in rows], sorted(metrics))
    columns: dict[str, list[Cell]] = {name: [] for name in wanted}
    for number, *read in rows:
        there = dict(zip(paths, read, strict=True))
        for name, each in wanted.items():
            columns[name].append(value(each, there, told[number]))
    return columns, [row[0] for row in rows]


def _expression(path: Path) -> Combinable:
    *above, last = path.keys
    inside: Any = path.root
    for key in above:
        inside = KeyTransform(key, inside)
    return KeyTextTransform(last, inside) if path.is_text else KeyTransform(last, inside)


def _refuse_missing(points: RunPoints, needs: Needs, missing: Iterable[str], runs: int) -> None:
    """Raises NothingYet for every needed column that no run tells; what can be computed needs what it is made of."""
    lacking = [name for name in missing if name in needs or name in points.x]
    absent = set(missing)
    lacking = [name for name in lacking if name not in DERIVED or name in points.x or absent & {*DERIVED[name]}]
    if lacking:
        raise NothingYet([{"loc": ["points", "x", name], "msg": _missing(points, name, runs)} for name in lacking])


def _missing(points: RunPoints, name: str, runs: int) -> str:
    those = "The run that was found has no" if runs == 1 else f"None of the {runs:,} runs that were found has"
    if name in points.x:
        return f"{those} {points.x[name]!r}: set points.x.{name} to what they have."
    hint = ", or to N_total" if name == "N" else ""
    return f"{those} {name}: set points.x.{name} to the metric or the facts., result. or spec. field that is it{hint}."


def _fill_compute(columns: dict[str, list[Cell]], missing: list[str]) -> None:
    """Where some runs tell a C of their own, the others get 6 N D, so that the column means one thing."""
    if "C" not in columns or "C" in missing or not {"N", "D"} <= columns.keys():
        return
    for index, (told, size, tokens) in enumerate(zip(columns["C"], columns["N"], columns["D"], strict=True)):
        if told is None and isinstance(size, float) and isinstance(tokens, float):
            columns["C"][index] = 6 * size * tokens
