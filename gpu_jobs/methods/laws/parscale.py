"""ParScale: P parallel streams are worth parameters by the factor k ln P + 1.

    L = E + (A / (N (k ln P + 1)))^alpha

(Chen et al. 2025.) N without embeddings. The authors minimise the Huber loss (delta 1e-3) of ln L; their script's A is
in 1e9 parameters, here it is in parameters. At P = 1 it is a power law with a floor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.smooth import log

PAPER = "https://arxiv.org/abs/2505.10475"


class Knobs(LawKnobs):
    name: Literal["parscale"]


def parameters(knobs: Knobs) -> list[Parameter]:
    return [
        Parameter("E", "Loss that is left with infinite N.", log=True),
        Parameter("A", "Scale of N.", log=True),
        Parameter("alpha", "Exponent of N.", exponent_of="N"),
        Parameter("k", "Worth of a stream.", log=True),
    ]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"N": "parameters without embeddings", "P": "parallel streams"}


def target(knobs: Knobs) -> str:
    return "loss"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points) in nats"""
    worth = variables["N"] * (params["k"] * log(variables["P"]) + 1.0)
    return params["E"] + (params["A"] / worth) ** params["alpha"]


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    return {
        "E": [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0],
        "A": [5.0, 10.0, 14.0, 17.0, 20.0, 23.0],
        "alpha": [0.05, 0.1, 0.2, 0.35, 0.5, 1.0],
        "k": [-3.0, -1.5, -1.0, 0.0],
    }


def derived(knobs: Knobs, params: Mapping[str, Any]) -> dict[str, Any]:
    """By how much eight streams multiply the parameters."""
    return {"worth_of_8": params["k"] * log(8.0) + 1.0}
