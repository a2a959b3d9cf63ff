"""What the form of a fit, as it stands, would fit: which points are found, their ranges, the first of them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gpu_jobs import registry
from gpu_jobs.context import Context
from gpu_jobs.errors import JobError
from gpu_jobs.points import RunPoints, UploadPoints
from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project
from webapp.pages.scaling.cells import Cell, Column, Table, amount, brief, span
from webapp.runs import blobs, specs
from webapp.runs.errors import BlobMissing
from webapp.scaling import points as lookups

if TYPE_CHECKING:
    from gpu_jobs.engine.laws.table import Table as Points
    from gpu_jobs.kinds.scaling_fit import Spec

FIRST = 6
LARGEST_BYTES = 4 * 1024**2  # of a file that is read for a preview


class Preview(NamedTuple):
    """`counts` says in words what becomes of the rows; `ranges` is a row a column, `first` the first fitted points."""

    law: str
    equation: str
    reads: list[tuple[str, str]]
    counts: list[tuple[str, str]]
    ranges: Table | None
    first: Table | None
    trouble: str = ""


def preview(project: Project, values: dict[str, Any]) -> Preview:
    """Raises Invalid where the spec is wrong; what is wrong with the points alone is told as trouble."""
    spec: Any = specs.checked(values)
    method = registry.method_of(spec.law)
    law = Preview(method.title, equation_of(method.doc), _reads(spec), [], None, None)
    try:
        return _with_points(law, project, spec)
    except JobError as error:
        return law._replace(trouble=str(error))
    except Invalid as error:
        return law._replace(trouble=" ".join(item["msg"] for item in error.errors))


def equation_of(doc: str) -> str:
    """The first indented block of a law's docstring."""
    blocks = (block for block in doc.split("\n\n") if block.startswith("    "))
    return "\n".join(line.strip() for line in next(blocks, "").splitlines())


def _reads(spec: Spec) -> list[tuple[str, str]]:
    return [*spec.law.variables.items(), (spec.law.target, "what it explains")]


def _with_points(law: Preview, project: Project, spec: Spec) -> Preview:
    from gpu_jobs.engine.laws import reducing
    from gpu_jobs.engine.laws.table import divided, read

    needs = list(reducing.needs(spec.law) or [*spec.law.variables, spec.law.target])
    with tempfile.TemporaryDirectory(prefix="hone-preview-") as folder:
        points, inputs = _points(project, spec.points, Path(folder))
        table = read(points, Context(Path(folder), Path(folder), inputs), spec.law, needs)
    fitted, out, _ = divided(table, spec.holdout)
    return law._replace(
        counts=_counts(points, fitted, out, len(spec.law.free)),
        ranges=_ranges(table, needs),
        first=_first(fitted, needs),
    )


def _points(project: Project, points: Any, folder: Path) -> tuple[Any, Mapping[str, Path]]:
    """The points, looked up or fetched. Raises Invalid."""
    if isinstance(points, RunPoints):
        return lookups.resolve(project, points.model_copy(update={"columns": None, "runs": None})), {}
    if not isinstance(points, UploadPoints):
        return points, {}
    upload = project.uploads.select_related("blob").filter(pk=points.upload).first()
    if upload is None:
        raise Invalid.field("points.upload", f"There is no upload {points.upload} in {project.name}.")
    if upload.blob.size > LARGEST_BYTES:
        raise Invalid.field("points.upload", "The file is too large to be shown here; it is fitted all the same.")
    try:
        blobs.fetch(upload.blob, folder / upload.blob.sha256)
    except BlobMissing as error:
        raise Invalid.field("points.upload", str(error)) from None
    return points, {f"upload:{upload.pk}": folder / upload.blob.sha256}


def _counts(points: Any, fitted: Points, out: Points, free: int) -> list[tuple[str, str]]:
    """Of runs their number, too: more than one row of a run is possible in a table only."""
    found = [("Runs found", f"{len(points.runs or []):,}")] if isinstance(points, RunPoints) else []
    found.append(("Fitted", f"{len(fitted.rows):,} points, {free} parameters"))
    told = [
        ("Held out", len(out.rows)), ("Outliers dropped", fitted.outliers), ("Without a value", fitted.incomplete)
    ]  # fmt: skip
    return found + [(name, f"{count:,}") for name, count in told if count]


def _ranges(table: Points, needs: list[str]) -> Table:
    """What the law reads first."""
    names = [*needs, *(name for name in table.columns if name not in needs)]
    columns = [Column("Column", False), Column("From, to")]
    return Table("ranges", "Columns", columns, [_range(name, table.columns[name], name in needs) for name in names])


def _range(name: str, values: Any, is_needed: bool) -> list[Cell]:
    import numpy as np

    label = Cell(name, is_number=False, tone="" if is_needed else "dim")
    if values.dtype.kind not in "fib" or not np.isfinite(values).any():
        return [label, Cell(f"{len(set(values.tolist())):,} words")]
    known = values[np.isfinite(values)]
    return [label, Cell(span([float(known.min()), float(known.max())], brief))]


def _first(table: Points, needs: list[str]) -> Table:
    rows = [
        [Cell(amount(float(table.columns[name][place]))) for name in needs]
        for place in range(min(FIRST, len(table.rows)))
    ]
    return Table("first", "First points", [Column(name) for name in needs], rows)
