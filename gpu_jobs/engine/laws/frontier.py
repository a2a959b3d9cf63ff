"""The best N and D of each budget, with intervals, and the loss there where the law tells it."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_jobs import registry
from gpu_jobs.engine.laws.bootstrap import quantiles
from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.engine.laws.part import Part


def frontier(part: Part, budgets: list[float]) -> list[dict[str, Any]] | None:
    """None without budgets."""
    if not budgets:
        return None
    compute = np.array(budgets, float)
    best, tells_loss = part.fit.known.best[None], part.law.target == "loss"
    shares = [_optimum(part, best, compute)]
    if part.fit.has_draws and part.fit.vectors is not None:
        shares.append(_optimum(part, part.fit.vectors, compute))
    found = []
    for index, budget in enumerate(budgets):
        size, tokens = (side[0, index] for side in shares[0])
        entry: dict[str, Any] = {"compute": float(budget)}
        at = {"N": np.array([size]), "D": np.array([tokens])}
        entry |= {"N": float(size), "D": float(tokens), "loss": None}
        if tells_loss:
            entry["loss"] = float(part.problem.predict(best, at)[0, 0])
        found.append(entry | _intervals(part, shares, index, tells_loss))
    return found


def _optimum(part: Part, vectors: Array, compute: Array) -> tuple[Array, Array]:
    natural = part.problem.natural(vectors)
    params: dict[str, Any] = {name: natural[:, [index]] for index, name in enumerate(part.problem.names)}
    held = {name: np.full((1, 1), value) for name, value in part.law.fixed.items()}
    with np.errstate(all="ignore"):
        size, tokens = registry.method_of(part.law).module.optimum(part.law, {**held, **params}, compute)
    shape = (len(vectors), len(compute))
    return np.broadcast_to(size, shape), np.broadcast_to(tokens, shape)


def _intervals(part: Part, shares: list[Any], index: int, tells_loss: bool) -> dict[str, Any]:
    if len(shares) < 2 or part.fit.vectors is None:
        return {"N_interval": None, "D_interval": None, "loss_band": None}
    level = part.spec.bootstrap.level
    size, tokens = (side[:, index] for side in shares[1])
    found: dict[str, Any] = {"N_interval": quantiles(size, level), "D_interval": quantiles(tokens, level)}
    at = {"N": shares[0][0][0, [index]], "D": shares[0][1][0, [index]]}
    found["loss_band"] = quantiles(part.fit.curves(at)[:, 0], level) if tells_loss else None
    return {name: None if pair is None else list(pair) for name, pair in found.items()}
