"""Reading: runs as a table, the points of a metric as arrays."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from hone import settings
from hone.client import Client
from hone.errors import HoneError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = ("id", "name", "project", "kind", "status", "step", "created_at", "started_at", "ended_at", "url")


class History(NamedTuple):
    """Every point of a metric, in order of steps: int64, float64, and float64 in seconds since the epoch, (n,) each."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    times: NDArray[np.float64]


def runs(
    query: str = "", *, limit: int | None = None, url: str | None = None, token: str | None = None, **filters: Any
) -> Any:
    """The runs that match, newest first: a pandas DataFrame where pandas is installed, else a list of dicts.

    `query` is the `q` of GET /runs, `filters` its `project`, `status`, `tag`, `kind`, `queue` and `sort`. A row has the
    run's own columns, `spec.<path>` for its configuration and `metric.<name>` for the last value of each metric.
    """
    with Client(settings.api_url(url), settings.token(token)) as client:
        rows = [_row(run) for run in client.items("/runs", limit, q=query, **filters)]
    if importlib.util.find_spec("pandas") is None:
        return rows
    import pandas  # type: ignore[import-untyped]

    return pandas.DataFrame(rows)


def history(run: Any, metric: str, *, url: str | None = None, token: str | None = None) -> History:
    """Every point of a metric of a run (its number, or anything with an `id`). Fastest where pyarrow is installed.

    Raises HoneError: no such run or metric, or numpy is not installed.
    """
    if importlib.util.find_spec("numpy") is None:
        raise HoneError("hone.history gives numpy arrays: pip install numpy.")
    number = run["id"] if isinstance(run, Mapping) else getattr(run, "id", run)
    kind, read = ("arrow", _arrow) if importlib.util.find_spec("pyarrow") else ("csv", _csv)
    with Client(settings.api_url(url), settings.token(token)) as client:
        return read(client.read(f"/runs/{number}/export", name=metric, format=kind))


def _arrow(content: bytes) -> History:
    import pyarrow

    with pyarrow.ipc.open_stream(content) as stream:
        table = stream.read_all()
    return History(*(table[name].to_numpy() for name in ("step", "value", "time")))


def _csv(content: bytes) -> History:
    import numpy as np

    kinds = [("step", np.int64), ("value", np.float64), ("time", np.float64)]
    rows = np.loadtxt(
        io.BytesIO(content), kinds, comments=None, delimiter=",", quotechar='"', skiprows=1, usecols=(1, 2, 3), ndmin=1,
        encoding="utf-8",
    )  # fmt: skip
    return History(*(np.ascontiguousarray(rows[name]) for name, _ in kinds))


def _row(run: dict[str, Any]) -> dict[str, Any]:
    row = {column: run[column] for column in COLUMNS} | {"tags": run["tags"]}
    row |= {f"spec.{path}": value for path, value in _flat(run["spec"]) if path != "kind"}
    return row | {f"metric.{name}": _number(values["last"]) for name, values in run["summary"].items()}


def _flat(spec: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in spec.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _number(value: Any) -> Any:
    """The API spells what JSON can't hold; float() reads it."""
    return float(value) if isinstance(value, str) else value
