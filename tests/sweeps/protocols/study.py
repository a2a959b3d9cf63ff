"""Runs of a study as rows, made by hand: what happened is exactly what a test says."""

from __future__ import annotations

import random
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
STATUSES = ["succeeded", "succeeded", "succeeded", "failed", "diverged", "out_of_memory", "stopped", "running"]
PARTS = ["tune", "score", "search", "full", "expert", "pairs", ""]
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


def a_study(draw: random.Random) -> tuple[list[Row], Series, dict[int, dict[str, Any]]]:
    """Rows of several sweeps with every kind of parameter, fate and label that protocols look at."""
    series, rows = Series(), []
    labels = {sweep: _labels(draw) for sweep in range(1, 5)}
    for trial in range(draw.randint(1, 12)):
        params = {
            "optimizer.lr": draw.choice([1e-3, 1e-2, 1e-1]), "method.name": draw.choice(["lora", "full"]),
            "method.rank": draw.choice([1, 4, 16]), "steps": draw.choice([10, 20, 40]), "batch_size": 4,
            "experts": draw.choice([2, 4]),
            "method.sparsity": draw.choice([0.2, 0.5, 0.8]), "retrain.steps": draw.choice([10, 20]),
        }  # fmt: skip
        sweep, status = draw.randint(1, 4), draw.choice(STATUSES)
        for seed in range(draw.randint(1, 3)):
            found = _run(draw, params, sweep, trial, seed, status, labels[sweep]["part"])
            series.add(found.run, "eval/loss", [draw.random() + 0.1 for _ in range(draw.randint(1, 6))])
            rows.append(found)
    return rows, series, labels


def _labels(draw: random.Random) -> dict[str, Any]:
    return {
        "size": draw.choice(["1x16", "2x32"]), "study": draw.randint(1, 2), "workload": draw.choice(["a", "b"]),
        "algorithm": draw.choice(["adamw", "sgd"]), "quality": "", "sampler": draw.choice(["tpe", "random"]),
        "part": draw.choice(PARTS),
    }  # fmt: skip


def _run(draw: random.Random, params: dict[str, Any], sweep: int, trial: int, seed: int, status: str, part: str) -> Row:
    is_test = seed == 2
    data = {"source": "builtin", "name": "stdlib-source" if part == "score" else "language-reference"}
    return row(
        params, draw.random() + 0.1, sweep=sweep, trial=trial, seed=10_000 if is_test else seed, status=status,
        role="test" if is_test else "tune", spec={**PRETRAIN, "data": data}, trainable=draw.choice([100, 1000, None]),
        total=draw.choice([10_000, 20_000]), result={"stored_bytes": 100, "wall_time_s": 2.0},
        metrics={"train/loss": [draw.random() + 1], "eval/accuracy": draw.random(), "train/grad_norm": draw.random(),
                 "pair/connectivity": -draw.random(), "pair/similarity": draw.random(), "dense/eval/loss": 0.5},
    )  # fmt: skip
