"""Chinchilla: loss as an irreducible part and power laws of parameters N and tokens D.

    L(N, D) = E + A / N^alpha + B / D^beta

(Hoffmann et al. 2022, approach 3.) They minimise the Huber loss (delta 1e-3) of ln L from a grid of 4,500 starts, which
is the grid here: A and B are fitted as exponentials of 0, 5, ..., 25, E of -1, -0.5, ..., 1, the exponents from 0 to 2.
With C = 6 N D the loss is least at N = G (C/6)^a, D = (C/6)^b / G, a = beta/(alpha+beta), b = alpha/(alpha+beta),
G = (alpha A / (beta B))^(1/(alpha+beta)). `tied` sets beta = alpha, as Muennighoff et al. 2023 do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.law import LawKnobs, Parameter

PAPER = "https://arxiv.org/abs/2203.15556"


class Knobs(LawKnobs):
    name: Literal["chinchilla"]
    tied: bool = Field(False, description="One exponent for parameters and tokens.")


def parameters(knobs: Knobs) -> list[Parameter]:
    both = [
        Parameter("E", "Loss that is left with infinite N and D.", log=True),
        Parameter("A", "Coefficient of the parameters' term.", log=True),
        Parameter("B", "Coefficient of the tokens' term.", log=True),
        Parameter("alpha", "Exponent of N.", exponent_of="N"),
    ]
    return both if knobs.tied else [*both, Parameter("beta", "Exponent of D.", exponent_of="D")]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"N": "parameters", "D": "tokens"}


def target(knobs: Knobs) -> str:
    return "loss"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points) in nats"""
    alpha, beta = exponents(params)
    return params["E"] + params["A"] * variables["N"] ** -alpha + params["B"] * variables["D"] ** -beta


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    coefficients, powers = [0.0, 5.0, 10.0, 15.0, 20.0, 25.0], [0.0, 0.5, 1.0, 1.5, 2.0]
    grid = {"E": [-1.0, -0.5, 0.0, 0.5, 1.0], "A": coefficients, "B": coefficients, "alpha": powers}
    return grid if knobs.tied else {**grid, "beta": powers}


def derived(knobs: Knobs, params: Mapping[str, Any]) -> dict[str, Any]:
    """The exponents of the compute-optimal N and D, and G."""
    alpha, beta = exponents(params)
    return {"a": beta / (alpha + beta), "b": alpha / (alpha + beta), "G": balance(params)}


def optimum(knobs: Knobs, params: Mapping[str, Any], compute: Any) -> tuple[Any, Any]:
    """(N, D) where 6 N D = compute and the loss is least."""
    alpha, beta = exponents(params)
    G, product = balance(params), compute / 6
    return G * product ** (beta / (alpha + beta)), product ** (alpha / (alpha + beta)) / G


def exponents(params: Mapping[str, Any]) -> tuple[Any, Any]:
    """(alpha, beta)"""
    return params["alpha"], params.get("beta", params["alpha"])


def balance(params: Mapping[str, Any]) -> Any:
    """G, which shares the compute out between N and D."""
    alpha, beta = exponents(params)
    return (alpha * params["A"] / (beta * params["B"])) ** (1.0 / (alpha + beta))
