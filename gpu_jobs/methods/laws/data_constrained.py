"""Data-constrained: what repeated tokens and parameters in excess of the data are worth.

    L = E + A / N'^alpha + B / D'^beta
    D' = U_D (1 + R_D_star (1 - exp(-R_D / R_D_star)))        R_D = D / U_D - 1
    N' = U_N (1 + R_N_star (1 - exp(-R_N / R_N_star)))        R_N = N / U_N - 1

(Muennighoff et al. 2023.) U_D are the unique tokens. U_N is the compute-optimal size for them, or N where that is
smaller: U_N = min(N, G (U_D G)^(beta/alpha)), G as in chinchilla. The authors take E, A, B, alpha = beta from a fit of
runs without repetition and fit R_D_star and R_N_star alone: put the others into `fixed`. `parameters_decay` off leaves
N' = N (their data-only variant).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.methods.laws.chinchilla import balance, exponents
from gpu_jobs.smooth import exp, minimum

PAPER = "https://arxiv.org/abs/2305.16264"


class Knobs(LawKnobs):
    name: Literal["data_constrained"]
    tied: bool = Field(True, description="One exponent for parameters and tokens.")
    parameters_decay: bool = Field(True, description="Whether parameters in excess are worth less, too.")


def parameters(knobs: Knobs) -> list[Parameter]:
    found = [
        Parameter("E", "Loss that is left with infinite N and D.", log=True),
        Parameter("A", "Coefficient of the parameters' term.", log=True),
        Parameter("B", "Coefficient of the tokens' term.", log=True),
        Parameter("alpha", "Exponent of N.", False, "N"),
    ]
    found += [] if knobs.tied else [Parameter("beta", "Exponent of D.", False, "D")]
    found += [Parameter("R_D_star", "Repetitions after which tokens lose most of their worth.", log=True)]
    return found + (
        [Parameter("R_N_star", "The same of parameters in excess.", log=True)] if knobs.parameters_decay else []
    )


def variables(knobs: Knobs) -> dict[str, str]:
    return {"N": "parameters", "D": "tokens", "U": "unique tokens"}


def target(knobs: Knobs) -> str:
    return "loss"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points) in nats"""
    alpha, beta = exponents(params)
    N, D, unique = variables["N"], variables["D"], variables["U"]
    worth = _worth(D, minimum(D, unique), params["R_D_star"])
    size = N
    if knobs.parameters_decay:
        G = balance(params)
        size = _worth(N, minimum(N, G * (unique * G) ** (beta / alpha)), params["R_N_star"])
    return params["E"] + params["A"] * size**-alpha + params["B"] * worth**-beta


def _worth(total: Any, unique: Any, decay: Any) -> Any:
    """What `total` is worth in unique ones."""
    repeats = total / unique - 1.0
    return unique * (1.0 + decay * (1.0 - exp(-repeats / decay)))


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    coefficients, powers = [2.0, 6.0, 10.0, 15.0, 20.0], [0.2, 0.35, 0.5, 0.8]
    grid = {"E": [-1.0, 0.0, 0.5, 1.0], "A": coefficients, "B": coefficients, "alpha": powers}
    grid |= {} if knobs.tied else {"beta": powers}
    few = [0.0, 1.5, 3.0, 4.5] if len(knobs.fixed) < 4 else [-1.0, 0.0, 0.5, 1.0, 1.7, 2.3, 3.0, 3.5, 4.0, 4.5, 5.0]
    grid |= {"R_D_star": few}
    return grid | ({"R_N_star": few} if knobs.parameters_decay else {})
