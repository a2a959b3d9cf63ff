"""Runs of kind prune as rows, with the metrics and the result that such a run leaves."""

from __future__ import annotations

import zlib
from typing import Any

from tests.sweeps.protocols.study import row
from webapp.sweeps.rows import Row

DENSE, WEIGHTS = 2.0, 1000
SPEC: dict[str, Any] = {
    "kind": "prune",
    "model": {"source": "run", "run": 1},
    "data": {"source": "builtin", "name": "language-reference"},
    "method": {"name": "magnitude", "sparsity": 0.5, "pattern": "unstructured"},
    "sequence_length": 16,
}
RETRAIN: dict[str, Any] = {"method": {"name": "full"}, "steps": 10, "batch_size": 4}


def pruned(
    method: str,
    sparsity: float,
    worse: float,
    *,
    seed: int = 0,
    retrained: float | None = None,
    dense: float = DENSE,
    params: dict[str, Any] | None = None,
    measured: float | None = None,
    **fields: Any,
) -> Row:
    """A run whose loss after pruning is `worse` above dense, relative to it; `retrained`: what is left of that after
    retraining."""
    measured = sparsity if measured is None else measured
    final = worse if retrained is None else retrained
    nonzero = WEIGHTS * (1 - measured)
    metrics = {
        "dense/eval/loss": dense, "pruned/eval/loss": dense * (1 + worse), "sparsity/measured": measured,
        "size/stored_bytes": 4.0 * WEIGHTS, "size/nonzero_parameters": nonzero,
    }  # fmt: skip
    result = {
        "quality": {"dense": {"eval/loss": dense}, "pruned": {"eval/loss": dense * (1 + worse)},
                    "recovered": None if retrained is None else {"eval/loss": dense * (1 + final)}},
        "sparsity": {"target": sparsity, "measured": measured, "whole": measured, "pattern": "unstructured",
                     "layers": {}},
        "bytes": {"dense": 4 * WEIGHTS, "stored": 4 * WEIGHTS},
        "parameters": {"total": WEIGHTS, "nonzero": nonzero, "dense": WEIGHTS, "trainable": 0},
    }  # fmt: skip
    spec = {**SPEC, "retrain": None if retrained is None else RETRAIN}
    chosen = {"method.name": method, "method.sparsity": sparsity, **(params or {})}
    trial = fields.pop("trial", zlib.crc32(f"{method} {sparsity} {params}".encode()))
    return row(chosen, dense * (1 + final), metrics=metrics, spec=spec, seed=seed, result=result, trial=trial, **fields)
