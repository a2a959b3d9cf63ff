"""Over-training: loss by compute and by tokens per parameter, and the error of downstream tasks by the loss.

    loss    L(C, M) = E + (a M^eta + b M^-eta) C^-eta,   C = 6 N D,   M = D/N
    error   Err(L) = eps - k exp(-gamma L)

(Gadre et al. 2024.) The authors fit both by least squares on values: the loss on 5 runs, 4 of them at M = 20 and one
at M = 320, the error on these and one more. Chain the second to the first (`then` of a fit) to foresee errors from
N and D.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.smooth import exp

PAPER = "https://arxiv.org/abs/2403.08540"


class Knobs(LawKnobs):
    name: Literal["overtraining"]
    form: Literal["loss", "error"] = Field("loss", description="Loss by N and D, or the error of tasks by the loss.")


def parameters(knobs: Knobs) -> list[Parameter]:
    if knobs.form == "error":
        return [
            Parameter("eps", "Error without any skill.", log=True),
            Parameter("k", "Coefficient.", log=True),
            Parameter("gamma", "Rate per nat.", log=True),
        ]
    return [
        Parameter("E", "Loss that is left with infinite compute.", log=True),
        Parameter("a", "Coefficient of M^eta.", log=True),
        Parameter("b", "Coefficient of M^-eta.", log=True),
        Parameter("eta", "Exponent of compute.", exponent_of="N"),
    ]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"loss": "nats"} if knobs.form == "error" else {"N": "parameters", "D": "tokens"}


def target(knobs: Knobs) -> str:
    return "error" if knobs.form == "error" else "loss"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points): nats, or the error"""
    if knobs.form == "error":
        return params["eps"] - params["k"] * exp(-params["gamma"] * variables["loss"])
    compute, ratio = 6 * variables["N"] * variables["D"], variables["D"] / variables["N"]
    eta = params["eta"]
    return params["E"] + params["a"] * (ratio / compute) ** eta + params["b"] * (ratio * compute) ** -eta


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    if knobs.form == "error":
        return {"eps": [-1.0, -0.5, -0.1], "k": [-3.0, -1.0, 0.0, 1.0, 3.0], "gamma": [-2.0, -1.0, 0.0, 1.0]}
    coefficients = [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    return {"E": [-1.0, 0.0, 0.5, 1.0], "a": coefficients, "b": coefficients, "eta": [0.05, 0.1, 0.15, 0.2, 0.3, 0.5]}


def optimum(knobs: Knobs, params: Mapping[str, Any], compute: Any) -> tuple[Any, Any]:
    """(N, D) where 6 N D = compute and the loss is least: M = (b/a)^(1/(2 eta)). Of the form `loss`."""
    ratio = (params["b"] / params["a"]) ** (0.5 / params["eta"])
    size = (compute / (6 * ratio)) ** 0.5
    return size, ratio * size
