"""Runs scaling fits for the tests, on points made here or on published tables where they lie beside the repository."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpu_jobs
from gpu_jobs import spec as specs
from gpu_jobs.context import Context
from gpu_jobs.events import Event

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "data" / "scaling"
TRUE = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


def loss(N: Any, D: Any) -> Any:
    return TRUE["E"] + TRUE["A"] / N ** TRUE["alpha"] + TRUE["B"] / D ** TRUE["beta"]


def points(count: int = 40, noise: float = 0.002, seed: int = 0, **fixed: float) -> dict[str, list[float]]:
    """Chinchilla's law with multiplicative noise; a variable in `fixed` has that value everywhere."""
    random = np.random.RandomState(seed)
    N = np.full(count, fixed["N"]) if "N" in fixed else np.exp(random.uniform(np.log(1e7), np.log(1e9), count))
    D = np.full(count, fixed["D"]) if "D" in fixed else np.exp(random.uniform(np.log(1e9), np.log(1e11), count))
    measured = loss(N, D) * np.exp(noise * random.standard_normal(count))
    return {"N": N.tolist(), "D": D.tolist(), "loss": measured.tolist()}


def spec_of(columns: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    given = {"kind": "scaling_fit", "law": {"name": "chinchilla"}, "bootstrap": {"resamples": 200}, **changes}
    source = {"source": "table", "columns": columns or points(), **given.get("points", {})}
    return {**given, "points": source}


def events(spec: Mapping[str, Any], folder: Path, upload: Path | None = None) -> list[Event]:
    inputs = {} if upload is None else {"upload:1": upload}
    return list(gpu_jobs.run(specs.parse(spec), Context(folder, folder, inputs=inputs)))


def result(spec: Mapping[str, Any], folder: Path, upload: Path | None = None) -> dict[str, Any]:
    last: Any = events(spec, folder, upload)[-1]
    assert last.type == "result", last.message
    json.dumps(last.values, allow_nan=False)
    return dict(last.values)


def codes(told: Mapping[str, Any]) -> list[str]:
    return [warning["code"] for warning in told["warnings"]]


def published(name: str) -> Path:
    if not PUBLISHED.exists():
        pytest.skip(f"the published tables are not at {PUBLISHED}")
    return PUBLISHED / name


def expected(case: str) -> dict[str, Any]:
    cases = json.loads(published("expected.json").read_text())["cases"]
    return dict(next(each for each in cases if each["id"] == case))


def columns(name: str) -> dict[str, list[str]]:
    with published(name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {field: [row[field] for row in rows] for field in rows[0]}
