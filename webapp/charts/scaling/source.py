"""The whole table behind a fit, its filtered rows too: learning rate, batch and loss of every run of each setting."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_jobs import registry
from gpu_jobs.errors import DataError
from webapp.metrics.points import Float64
from webapp.runs import blobs
from webapp.runs.errors import BlobCorrupt, BlobMissing, TooLarge
from webapp.runs.models import Blob, Upload
from webapp.scaling.reading import Reading

NEEDS = ("lr", "batch", "loss")
FEWEST = 4  # runs that a setting must have
LARGEST_BYTES = 16 << 20  # of an uploaded file


class Setting(NamedTuple):
    """`at` has its N and D, as far as there are such columns; `rows` are places in the columns."""

    at: dict[str, float]
    rows: NDArray[np.intp]


class RateTable(NamedTuple):
    """Columns of one length; `rows` are their places in the source. Settings with the most runs come first."""

    rate: Float64
    batch: Float64
    loss: Float64
    runs: Any
    rows: NDArray[np.intp]
    settings: list[Setting]
    notice: str


def rates(reading: Reading) -> RateTable:
    """Without settings where columns are missing, and then `notice` says which."""
    nothing = RateTable(np.empty(0), np.empty(0), np.empty(0), None, np.empty(0, np.intp), [], "")
    try:
        table = _table(reading)
    except (DataError, BlobMissing, BlobCorrupt) as error:
        return nothing._replace(notice=f"The points have no learning rate, batch and loss of every run: {error}.")
    except TooLarge:
        return nothing._replace(notice=f"The uploaded table is larger than {LARGEST_BYTES >> 20} MiB.")
    rate, batch, loss = (np.asarray(table.columns[name], np.float64) for name in NEEDS)
    settings = _settings({name: table.columns[name] for name in ("N", "D") if name in table.columns}, len(table.rows))
    few = "" if settings else f"No N and D has {FEWEST} runs with a learning rate, a batch and a loss."
    return RateTable(rate, batch, loss, table.runs, np.asarray(table.rows, np.intp), settings, few)


def _settings(columns: dict[str, Any], rows: int) -> list[Setting]:
    table = np.column_stack(list(columns.values())) if columns else np.zeros((rows, 1))
    levels, which = np.unique(np.asarray(table, np.float64), axis=0, return_inverse=True)
    members = [np.flatnonzero(which.reshape(-1) == place) for place in range(len(levels))]
    found = [
        Setting(dict(zip(columns, level.tolist(), strict=False)), mine)
        for level, mine in zip(levels, members, strict=True)
        if len(mine) >= FEWEST
    ]
    return sorted(found, key=lambda setting: -len(setting.rows))


def _table(reading: Reading) -> Any:
    """Complete rows. Raises DataError, BlobMissing, BlobCorrupt and TooLarge."""
    points = reading.spec.points.model_copy(update={"filter": None, "drop_highest": 0})
    if points.source != "upload":
        return _read(points, reading.law, None)
    upload = Upload.objects.filter(pk=points.upload, project=reading.run.project_id).select_related("blob").first()
    if upload is None:
        raise DataError(f"upload {points.upload} is gone")
    return _uploaded(upload.blob_id, points.model_dump_json(), reading.law.model_dump_json())


@functools.lru_cache(8)
def _uploaded(sha256: str, points: str, law: str) -> Any:
    """By content: a table is read once for its options and its figures."""
    from pydantic import TypeAdapter

    from gpu_jobs.points import PointSource

    sides = TypeAdapter(PointSource).validate_json(points), TypeAdapter(registry.union("laws")).validate_json(law)
    text = blobs.read(Blob.objects.get(pk=sha256), LARGEST_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(text)
        return _read(*sides, path)


def _read(points: Any, law: Any, path: Path | None) -> Any:
    from gpu_jobs.context import Context
    from gpu_jobs.engine.laws import table

    inputs = {} if path is None else {f"upload:{points.upload}": path}
    return table.read(points, Context(Path(), Path(), inputs=inputs), law, NEEDS)
