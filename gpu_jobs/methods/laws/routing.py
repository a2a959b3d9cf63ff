"""Routing: loss of a mixture of experts, by the dense model's size and the number of experts.

    ln L = a ln N + b ln E' + c ln N ln E' + d
    1/E' = 1 / (E - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max

(Clark et al. 2022, unified scaling laws for routed language models; the formula as others quote it, not read in the
paper itself.) E' is E saturated between E_start and E_max. Where a table has logarithms of base 10 (those of the paper
are unchecked), exponents a and b are the same, its c is ln 10 times this one, its d this one / ln 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.smooth import exp, log

PAPER = "https://arxiv.org/abs/2202.01169"


class Knobs(LawKnobs):
    name: Literal["routing"]


def parameters(knobs: Knobs) -> list[Parameter]:
    return [
        Parameter("a", "Exponent of N.", exponent_of="N"),
        Parameter("b", "Exponent of E'.", exponent_of="E"),
        Parameter("c", "How the gain by experts falls with N."),
        Parameter("d", "ln L at N = E' = 1."),
        Parameter("E_start", "E' of one expert.", log=True),
        Parameter("E_max", "E' of infinitely many.", log=True),
    ]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"N": "parameters of the dense model", "E": "experts"}


def target(knobs: Knobs) -> str:
    return "loss"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points) in nats"""
    start = 1.0 / (1.0 / params["E_start"] - 1.0 / params["E_max"])
    experts = log(1.0 / (1.0 / (variables["E"] - 1.0 + start) + 1.0 / params["E_max"]))
    size = log(variables["N"])
    return exp(params["a"] * size + params["b"] * experts + params["c"] * size * experts + params["d"])


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    return {
        "a": [-0.15, -0.08, -0.03],
        "b": [-0.3, -0.12, -0.04],
        "c": [0.0, 0.005],
        "d": [1.5, 2.5, 3.5],
        "E_start": [0.1, 0.7, 1.5],
        "E_max": [4.0, 5.5, 7.0],
    }
