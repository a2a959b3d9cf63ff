"""Efficiency leverage: how many times the compute of a mixture of experts a dense model needs for the same loss.

    EL(A, G, C) = A'^(a + d lg C + gamma (log2 G)^2 + beta log2 G)
    1/A' = 1 / (A + 1/(1/A_start - 1/A_max)) + 1/A_max

(Tian et al. 2025, Towards Greater Leverage.) EL = C_dense / C_MoE at equal loss; A is the share of active experts, G
their granularity, C the FLOPs of training. The paper does not say the bases of its logarithms: with its coefficients
(`PUBLISHED`), only 10 for C and 2 for G give what it says of them: more than 7 times at A = 3.1 %, G = 12, C = 1e22,
and the best G between 8 and 12. A dense model (A = 1) has an EL of nearly 1. The authors fit with Huber's loss and hold
out the points with an EL above 6. A' is A + A_start where A_max is large, as theirs is: fix it, at 1e17.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.smooth import log

PAPER = "https://arxiv.org/abs/2507.17702"
PUBLISHED = {"a": 1.23, "d": -7.61e-2, "gamma": 1.67e-2, "beta": -1.17e-1, "A_start": 1.63e-2, "A_max": 5.28e16}


class Knobs(LawKnobs):
    name: Literal["efficiency_leverage"]


def parameters(knobs: Knobs) -> list[Parameter]:
    return [
        Parameter("a", "Exponent of A' at one FLOP and G = 1.", exponent_of="A"),
        Parameter("d", "What a decade of compute adds to the exponent.", exponent_of="C"),
        Parameter("gamma", "Curvature of the exponent by log2 G."),
        Parameter("beta", "Slope of the exponent by log2 G.", exponent_of="G"),
        Parameter("A_start", "Where A' levels off.", log=True),
        Parameter("A_max", "A' of infinitely large A.", log=True),
    ]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"A": "share of experts that are active", "G": "granularity of experts", "C": "FLOPs"}


def target(knobs: Knobs) -> str:
    return "EL"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points): times the compute"""
    start = 1.0 / (1.0 / params["A_start"] - 1.0 / params["A_max"])
    active = 1.0 / (1.0 / (variables["A"] + start) + 1.0 / params["A_max"])
    grain = log(variables["G"]) / math.log(2.0)
    power = params["a"] + params["d"] * (log(variables["C"]) / math.log(10.0))
    return active ** (power + params["gamma"] * grain**2 + params["beta"] * grain)


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    return {
        "a": [-0.5, 0.5, 1.5],
        "d": [-0.1, -0.05, 0.0],
        "gamma": [0.0, 0.02],
        "beta": [-0.15, 0.0],
        "A_start": [-6.0, -4.0, -3.0],
        "A_max": [1.0, 20.0],
    }


def derived(knobs: Knobs, params: Mapping[str, Any]) -> dict[str, Any]:
    """The granularity of the highest leverage, where gamma is positive."""
    return {"best_G": 2.0 ** (-params["beta"] / (2.0 * params["gamma"]))}
