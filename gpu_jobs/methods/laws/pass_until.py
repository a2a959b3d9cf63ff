"""PassUntil: the chance to pass a task, by size.

    PU(N) = exp(-c N^-a)          ln(-ln PU) is linear in ln N

(Hu et al. 2023.) Tasks are sampled until r samples pass. r/K of K draws is biased upwards; (r - 1)/(K - 1) is not, for
r >= 2: `passed` computes it. Tasks that did not pass r times in K_max draws are censored: their rate is the
plain share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gpu_jobs.errors import MethodError
from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.smooth import exp

PAPER = "https://arxiv.org/abs/2310.03262"


class Knobs(LawKnobs):
    name: Literal["pass_until"]


def parameters(knobs: Knobs) -> list[Parameter]:
    return [Parameter("c", "Coefficient.", log=True), Parameter("a", "Exponent of N.", False, "N")]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"N": "parameters"}


def target(knobs: Knobs) -> str:
    return "rate"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points): the chance that one sample passes"""
    return exp(-(params["c"] * variables["N"] ** -params["a"]))


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    return {"c": [float(value) for value in range(-2, 26, 2)], "a": [0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5]}


def passed(passes: int, draws: int, wanted: int) -> float:
    """An unbiased estimate of the chance, of `draws` samples after which `wanted` (2 or more) had passed.

    Where fewer passed, the draws ended first, and the estimate is their share.
    """
    if not 0 <= passes <= wanted or wanted < 2 or draws < max(passes, 1):
        raise MethodError(f"need 0 <= passes <= wanted, wanted >= 2, draws >= passes: {passes}, {wanted}, {draws}")
    return (passes - 1) / (draws - 1) if passes == wanted else passes / draws
