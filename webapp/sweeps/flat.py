"""A sweep's runs as a file: one row a run, CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from webapp.runs import plain
from webapp.sweeps import queries
from webapp.sweeps.definition import Objective
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.rows import Row, rows

Format = Literal["csv", "jsonl"]
TRIAL = ("trial", "trial_status", "source")
RUN = ("role", "seed", "run", "status", "step", "worker", "created_at", "started_at", "ended_at")


def export(sweep: Sweep, kind: Format) -> Iterator[bytes]:
    """By trial, role and seed. A trial without runs (an imported one) has one row with its own values.

    Columns: the trial's, its params by their paths, the objectives by their metrics, the run's. In CSV the params and
    objectives are named `params.<path>` and `values.<metric>`; in JSON lines they are objects.
    """
    metrics = [_name(objective) for objective in queries.definition(sweep).objective]
    told = _records(sweep, metrics)
    return _json_lines(told) if kind == "jsonl" else _csv(told, _paths(sweep), metrics)


def _name(objective: Objective) -> str:
    """Two objectives may be statistics of one metric."""
    return objective.metric if objective.statistic == "last" else f"{objective.metric}:{objective.statistic}"


def _records(sweep: Sweep, metrics: list[str]) -> Iterator[dict[str, Any]]:
    of_trial: dict[int, list[Row]] = {}
    for row in rows(sweep, metrics=()):
        of_trial.setdefault(row.trial, []).append(row)
    for trial in Trial.objects.filter(sweep=sweep).order_by("number"):
        head = {"trial": trial.number, "trial_status": trial.status, "source": trial.source}
        for row in of_trial.get(trial.number, []):
            yield {**head, **_point(trial, metrics, row.values), **{name: _told(getattr(row, name)) for name in RUN}}
        if trial.number not in of_trial:
            yield {**head, **_point(trial, metrics, trial.values), **dict.fromkeys(RUN)}


def _point(trial: Trial, metrics: list[str], values: Sequence[float | None] | None) -> dict[str, Any]:
    return {"params": trial.params, "values": dict(zip(metrics, values, strict=True)) if values else {}}


def _told(value: Any) -> Any:
    """Times as ISO 8601."""
    return value.isoformat() if isinstance(value, datetime) else value


def _paths(sweep: Sweep) -> list[str]:
    """Every path that some trial has a value for: an edited space leaves old ones behind."""
    found = Trial.objects.filter(sweep=sweep).values_list("params", flat=True)
    return sorted({path for params in found for path in params})


def _json_lines(records: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    for record in records:
        yield json.dumps(plain.json(dict(record))).encode() + b"\n"


def _csv(records: Iterable[dict[str, Any]], paths: list[str], metrics: list[str]) -> Iterator[bytes]:
    names = [*TRIAL, *(f"params.{path}" for path in paths), *(f"values.{metric}" for metric in metrics), *RUN]
    yield _line(names)
    for record in records:
        cells = {**record, **_prefixed("params", record), **_prefixed("values", record)}
        yield _line([cells.get(name) for name in names])


def _prefixed(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}.{key}": value for key, value in record[name].items()}


def _line(cells: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
