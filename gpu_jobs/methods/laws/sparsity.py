"""Sparsity: loss of a model that is trained sparse, by the share of weights left out.

    L(S, N, D) = (a_S (1 - S)^b_S + c_S) (1/N)^b_N + (a_D/D)^b_D + c

(Frantar et al. 2023, for sparsely connected foundation models; equation 1 as others quote it, not read in the paper
itself.) N counts the weights that are not zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gpu_jobs.law import LawKnobs, Parameter

PAPER = "https://arxiv.org/abs/2309.08520"


class Knobs(LawKnobs):
    name: Literal["sparsity"]


def parameters(knobs: Knobs) -> list[Parameter]:
    return [
        Parameter("a_S", "Coefficient of the density.", log=True),
        Parameter("b_S", "Exponent of the density."),
        Parameter("c_S", "Coefficient that is left at any sparsity.", log=True),
        Parameter("b_N", "Exponent of N.", exponent_of="N"),
        Parameter("a_D", "Scale of D.", log=True),
        Parameter("b_D", "Exponent of D.", exponent_of="D"),
        Parameter("c", "Loss that is left with infinite N and D.", log=True),
    ]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"S": "share of zeros", "N": "parameters that are not zero", "D": "tokens"}


def target(knobs: Knobs) -> str:
    return "loss"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points) in nats"""
    density = params["a_S"] * (1.0 - variables["S"]) ** params["b_S"] + params["c_S"]
    tokens = (params["a_D"] / variables["D"]) ** params["b_D"]
    return density * variables["N"] ** -params["b_N"] + tokens + params["c"]


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    return {
        "a_S": [1.0, 3.0, 6.0],
        "b_S": [0.3, 0.7, 1.5],
        "c_S": [0.0, 2.0, 5.0],
        "b_N": [0.1, 0.25, 0.45],
        "a_D": [12.0, 18.0, 24.0],
        "b_D": [0.15, 0.35, 0.8],
        "c": [-1.0, 0.0, 0.5],
    }
