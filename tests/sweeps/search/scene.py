"""Spaces, objectives and histories that the search tests share."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import pytest

from webapp.sweeps import registry
from webapp.sweeps.definition import Objective, Search
from webapp.sweeps.search.asking import Observation, ask
from webapp.sweeps.states import TrialStatus

SPEC = {
    "kind": "finetune", "model": {"source": "builtin", "name": "nano"}, "data": {"source": "builtin"},
    "method": {"name": "lora"},
}  # fmt: skip
TREE = {  # every sort of dimension, and a branch
    "method.name": {"choices": ["lora", "full"]},
    "method.rank": {"low": 2, "high": 32, "log": True, "when": {"method.name": ["lora"]}},
    "method.dropout": {"low": 0, "high": 1, "when": {"method.name": ["lora"]}},
    "optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "batch_size": {"low": 8, "high": 64, "step": 8},
}
FLAT = {"optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True}, "method.dropout": {"low": 0, "high": 1}}
LOSS = [Objective(metric="eval/loss")]
SETTINGS: dict[str, dict[str, Any]] = {
    "grid": {"points": 5}, "tpe": {"startup_trials": 3}, "gp": {"startup_trials": 3}, "nsga2": {"population": 4},
    "cmaes": {"population": 4},
}  # fmt: skip
CMAES = pytest.mark.skipif(importlib.util.find_spec("cmaes") is None, reason="the package cmaes is not installed")


def samplers() -> list[Any]:
    """The name of every sampler that searches a space, as pytest parameters. One with `propose`, or a list of points of
    its own, has a file of its own."""
    found = registry.entries("search.samplers")
    return [
        pytest.param(name, marks=[CMAES] if name == "cmaes" else [])
        for name, entry in found.items()
        if not hasattr(entry.module, "propose") and not hasattr(entry.module, "listed")
    ]


def search(name: str, space: Any = None, *constraints: str, seed: int = 0) -> Search:
    sampler = {"name": name, **SETTINGS.get(name, {})}
    asked = {"sampler": sampler, "space": space or TREE, "constraints": constraints, "seed": seed}
    return Search.model_validate(asked)


def quadratic(params: dict[str, Any]) -> float:
    """0 at lr = 3e-3 and dropout = 0.3: a bowl in the logarithm of lr."""
    return (math.log10(params["optimizer.lr"] / 3e-3)) ** 2 + (params["method.dropout"] - 0.3) ** 2


def seen(number: int, params: dict[str, Any], *values: float) -> Observation:
    return Observation(number, params, TrialStatus.SUCCEEDED, list(values))


def searched(asked: Search, trials: int, value: Callable[[dict[str, Any]], float]) -> list[Observation]:
    """A history, one trial after the other."""
    history: list[Observation] = []
    for number in range(1, trials + 1):
        params = ask(asked, LOSS, history, spec=SPEC)[0].params
        history.append(seen(number, params, value(params)))
    return history
