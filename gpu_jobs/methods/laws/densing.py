"""Densing law: how capability per parameter grows over time.

    trend   ln rho = A t + B            doubling time ln 2 / A
    loss    L = a N^-alpha + b D^-beta
    score   S = c / (1 + exp(-gamma (L - l))) + d       gamma < 0: the score falls with the loss

(Xiao et al. 2024.) The density rho of a model is the size of the reference model with its score over its own size:
`effective_size` inverts score and loss at D0 tokens. Published for the trend: A 0.0073 a day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.errors import DataError
from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.smooth import exp

PAPER = "https://arxiv.org/abs/2412.04315"
TOKENS = 1e12


class Knobs(LawKnobs):
    name: Literal["densing"]
    form: Literal["trend", "loss", "score"] = Field("trend", description="Which of the three is fitted.")


def parameters(knobs: Knobs) -> list[Parameter]:
    if knobs.form == "trend":
        return [Parameter("A", "Growth of ln rho a day."), Parameter("B", "ln rho at t = 0.")]
    if knobs.form == "score":
        return [
            Parameter("c", "Height of the sigmoid.", log=True),
            Parameter("gamma", "Steepness by the loss."),
            Parameter("l", "Loss in the middle of the sigmoid."),
            Parameter("d", "Score by chance."),
        ]
    return [
        Parameter("a", "Coefficient of the parameters' term.", log=True),
        Parameter("alpha", "Exponent of N.", False, "N"),
        Parameter("b", "Coefficient of the tokens' term.", log=True),
        Parameter("beta", "Exponent of D.", False, "D"),
    ]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"trend": {"t": "days"}, "loss": {"N": "parameters", "D": "tokens"}, "score": {"loss": "nats"}}[knobs.form]


def target(knobs: Knobs) -> str:
    return {"trend": "rho", "loss": "loss", "score": "score"}[knobs.form]


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points): density, nats or score"""
    if knobs.form == "trend":
        return exp(params["A"] * variables["t"] + params["B"])
    if knobs.form == "score":
        return params["c"] / (1.0 + exp(-(params["gamma"] * (variables["loss"] - params["l"])))) + params["d"]
    return params["a"] * variables["N"] ** -params["alpha"] + params["b"] * variables["D"] ** -params["beta"]


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    if knobs.form == "trend":
        return {"A": [-0.01, 0.0, 0.003, 0.01], "B": [-5.0, 0.0, 5.0]}
    if knobs.form == "score":
        loss = variables["loss"]
        middles = [float(loss.min() + share * (loss.max() - loss.min())) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
        chance = [float(target.min()), 0.0]
        return {"c": [-1.5, -0.5, 0.0], "gamma": [-20.0, -8.0, -3.0, -1.0], "l": middles, "d": chance}
    powers = [0.05, 0.1, 0.2, 0.35, 0.6]
    return {"a": [0.0, 3.0, 6.0, 9.0, 12.0], "alpha": powers, "b": [0.0, 3.0, 6.0, 9.0, 12.0], "beta": powers}


def doubling_days(A: float) -> float:
    """In how many days the density doubles."""
    return math.log(2) / A


def effective_size(
    score: float, of_loss: Mapping[str, float], of_score: Mapping[str, float], D: float = TOKENS
) -> float:
    """N of the reference model with that score after D tokens. Raises DataError where no size has it."""
    share = (score - of_score["d"]) / of_score["c"]
    if not 0 < share < 1:
        low, high = of_score["d"], of_score["d"] + of_score["c"]
        raise DataError(f"score must lie between {low:g} and {high:g}, the ends of the sigmoid: {score:g}")
    loss = of_score["l"] + math.log(share / (1 - share)) / of_score["gamma"]
    rest = loss - of_loss["b"] * D ** -of_loss["beta"]
    if rest <= 0:
        raise DataError(f"score {score:g} needs a loss of {loss:g}, which no size reaches with {D:g} tokens")
    return float((of_loss["a"] / rest) ** (1 / of_loss["alpha"]))
