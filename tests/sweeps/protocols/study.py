"""Runs of a study as rows, made by hand: what happened is exactly what a test says."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

import numpy as np

from webapp.metrics.points import Points
from webapp.metrics.summary import Summary
from webapp.sweeps.planning import changed
from webapp.sweeps.rows import Row

START = datetime(2026, 1, 1, tzinfo=UTC)
PRETRAIN: dict[str, Any] = {
    "kind": "pretrain",
    "model": {"source": "config", "architecture": "llama", "layers": 1, "width": 16, "heads": 2, "context": 32},
    "data": {"source": "builtin", "name": "language-reference"},
    "optimizer": {"name": "adamw", "lr": 1e-3},
    "steps": 20,
    "batch_size": 4,
    "sequence_length": 16,
}
FINETUNE = {**PRETRAIN, "kind": "finetune", "method": {"name": "lora", "rank": 2}}
_numbers = count(1)


def summary(*values: float) -> Summary:
    finite = [value for value in values if np.isfinite(value)]
    return Summary(
        len(values), len(finite), sum(finite), min(finite, default=None), max(finite, default=None),
        values[0], values[-1], len(values),
    )  # fmt: skip


def row(
    params: dict[str, Any] | None = None,
    loss: float | None = None,
    *,
    status: str = "succeeded",
    metrics: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    trainable: int | None = None,
    total: int | None = None,
    **fields: Any,
) -> Row:
    """A run that ended with this eval/loss; `metrics` maps names to a last value or to all values."""
    told = {name: summary(*(v if isinstance(v, list | tuple) else [v])) for name, v in (metrics or {}).items()}
    if loss is not None:
        told["eval/loss"] = summary(loss)
    number, params = next(_numbers), params or {}
    given = {
        "sweep": 1, "trial": number, "params": params, "trial_status": status, "role": "tune", "seed": 0, "run": number,
        "status": status, "values": [loss], "metrics": told, "spec": changed(spec or PRETRAIN, params),
        "facts": {"parameters": {"total": total, "trainable": trainable}}, "result": None, "step": 20,
        "created_at": START, "started_at": START, "ended_at": START, "worker": "w",
    }  # fmt: skip
    return Row(**{**given, **fields})


class Series:
    """Points by run and metric; none where nothing was said."""

    def __init__(self) -> None:
        self.of: dict[tuple[int, str], Points] = {}

    def add(self, run: int, metric: str, values: list[float], *, steps: list[int] | None = None) -> None:
        """One value a step from 1, and one second a step."""
        steps = steps or list(range(1, len(values) + 1))
        self.of[run, metric] = Points.of(steps, values, [START.timestamp() + step for step in steps])

    def __call__(self, run: int, metric: str) -> Points:
        return self.of.get((run, metric), Points.empty())
