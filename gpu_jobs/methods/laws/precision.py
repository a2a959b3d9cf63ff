"""Precision: weights of P bits are worth fewer parameters.

    L(N, D, P) = A / N'^alpha + B / D^beta + E,     N' = N (1 - exp(-P / gamma))

(Kumar et al. 2024, training in low precision, the weights' part alone.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.smooth import exp

PAPER = "https://arxiv.org/abs/2411.04330"


class Knobs(LawKnobs):
    name: Literal["precision"]


def parameters(knobs: Knobs) -> list[Parameter]:
    return [
        Parameter("E", "Loss that is left with infinite N and D.", log=True),
        Parameter("A", "Coefficient of the parameters' term.", log=True),
        Parameter("B", "Coefficient of the tokens' term.", log=True),
        Parameter("alpha", "Exponent of N.", exponent_of="N"),
        Parameter("beta", "Exponent of D.", exponent_of="D"),
        Parameter("gamma", "Bits after which more are worth little.", log=True),
    ]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"N": "parameters", "D": "tokens", "P": "bits of a weight in training"}


def target(knobs: Knobs) -> str:
    return "loss"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points) in nats"""
    worth = variables["N"] * (1.0 - exp(-(variables["P"] / params["gamma"])))
    return params["E"] + params["A"] * worth ** -params["alpha"] + params["B"] * variables["D"] ** -params["beta"]


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    coefficients, powers = [2.0, 6.0, 10.0, 14.0], [0.2, 0.4, 0.7]
    grid = {"E": [-1.0, 0.0, 0.6], "A": coefficients, "B": coefficients, "alpha": powers, "beta": powers}
    return {**grid, "gamma": [-0.5, 0.5, 1.5]}
