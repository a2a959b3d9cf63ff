"""Samples: the share of tasks that at least one of k samples solves.

    coverage(k) = exp(-a / k^b)

(Brown et al. 2024, Large Language Monkeys, whose "exponentiated power law" this is; Schaeffer et al. 2025 show that
-ln of the mean success rate is a power law in k where the rates of single tasks have a heavy tail towards 0.) Both
constants are positive here: the sign of a is unchecked against the paper. It needs a verifier that knows right answers;
see imperfect_verifier for one that errs. `pass_at_k` estimates coverage without bias from n >= k samples of a task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from gpu_jobs.errors import MethodError
from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.smooth import exp

PAPER = "https://arxiv.org/abs/2407.21787"


class Knobs(LawKnobs):
    name: Literal["samples"]


def parameters(knobs: Knobs) -> list[Parameter]:
    return [
        Parameter("a", "-ln of the coverage of one sample.", log=True),
        Parameter("b", "Exponent of k.", exponent_of="k"),
    ]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"k": "samples"}


def target(knobs: Knobs) -> str:
    return "coverage"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points): a share of the tasks"""
    return exp(-(params["a"] * variables["k"] ** -params["b"]))


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    return {"a": [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0], "b": [0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2]}


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k): the chance that one of k is right, of n samples with c right (Chen et al. 2021)."""
    if not 0 <= correct <= samples or not 1 <= k <= samples:
        raise MethodError(f"need 0 <= correct <= samples and 1 <= k <= samples: {correct}, {samples}, {k}")
    return 1.0 - math.comb(samples - correct, k) / math.comb(samples, k)
