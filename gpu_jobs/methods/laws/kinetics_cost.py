"""Kinetics cost: what answers of reasoning models cost, when attention's memory traffic counts.

    eFLOPs = 2 T N L + 2 r T I_n K L + r T K L^2 + 2 I I_n K L + I T K L^2

("Kinetics: rethinking test-time scaling laws"; the terms are unchecked against the paper.) T trials, N active
parameters, K size of the keys and values of a token, r ratio of query to key heads, L tokens written, I_n tokens read,
I arithmetic intensity of the hardware (FLOPs a byte; 562.5 of a B200). With I = 0 these are the plain FLOPs. I is the
one parameter: fit it to measured costs, or fix it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gpu_jobs.law import LawKnobs, Parameter

PAPER = "https://arxiv.org/abs/2506.05333"
INTENSITY = 562.5


class Knobs(LawKnobs):
    name: Literal["kinetics_cost"]


def parameters(knobs: Knobs) -> list[Parameter]:
    return [Parameter("I", "FLOPs that one byte of traffic costs.", log=True)]


def variables(knobs: Knobs) -> dict[str, str]:
    return {
        "T": "trials",
        "N": "active parameters",
        "K": "size of a token's keys and values",
        "r": "query heads over key heads",
        "read": "tokens read",
        "written": "tokens written",
    }


def target(knobs: Knobs) -> str:
    return "eFLOPs"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points): equivalent FLOPs"""
    flops, traffic = terms(variables)
    return flops + params["I"] * traffic


def terms(variables: Mapping[str, Any]) -> tuple[Any, Any]:
    """(FLOPs, traffic): the cost is FLOPs + I x traffic"""
    T, N, K, r, read, written = (variables[name] for name in ("T", "N", "K", "r", "read", "written"))
    flops = 2 * T * N * written + 2 * r * T * read * K * written + r * T * K * written**2
    return flops, 2 * read * K * written + T * K * written**2


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    return {"I": [0.0, 2.0, 4.0, 6.0, 8.0]}
