"""Asymptote: loss at fixed data as the model, or the number of members of an ensemble, goes to infinity.

    L(x) = E + A / x^alpha          x: parameters N, or members K

("Pre-training under infinite compute"; the formula is unchecked against the paper.) Recipes are compared by E, and only
where the intervals of E do not overlap (`engine.laws.comparison.ranked`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.methods.laws.power import power_grid

PAPER = "https://arxiv.org/abs/2509.14786"


class Knobs(LawKnobs):
    name: Literal["asymptote_n"]
    x: Literal["N", "K"] = Field("N", description="What grows: N, parameters; K, members of the ensemble.")


def parameters(knobs: Knobs) -> list[Parameter]:
    return [
        Parameter("E", "Asymptote: by this recipes are compared.", log=True),
        Parameter("A", "Coefficient.", log=True),
        Parameter("alpha", "Exponent.", False, knobs.x),
    ]


def variables(knobs: Knobs) -> dict[str, str]:
    return {knobs.x: "parameters" if knobs.x == "N" else "members"}


def target(knobs: Knobs) -> str:
    return "loss"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points) in nats"""
    return params["E"] + params["A"] * variables[knobs.x] ** -params["alpha"]


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    grid = power_grid(variables[knobs.x], target, offset=True)
    return {"E": grid["E"], "A": grid["c"], "alpha": grid["a"]}
