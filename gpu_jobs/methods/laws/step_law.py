"""Step Law: the best learning rate and batch, by size and tokens.

    lr = c N^n D^d          published: c 1.79, n -0.713, d 0.307
    batch = c D^d           published: c 0.58, d 0.571, in tokens

(Li et al. 2025, Predictable Scale I.) N without embeddings, head and norms. The authors take means over bootstrap fits
of ln lr and ln batch by least squares; their released rows, fitted so, do not give the published exponents back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.law import LawKnobs, Parameter

PAPER = "https://arxiv.org/abs/2503.04715"
LEARNING_RATE = {"c": 1.79, "n": -0.713, "d": 0.307}
BATCH = {"c": 0.58, "d": 0.571}


class Knobs(LawKnobs):
    name: Literal["step_law"]
    of: Literal["lr", "batch"] = Field("lr", description="The learning rate, or the batch in tokens.")


def parameters(knobs: Knobs) -> list[Parameter]:
    tokens = [Parameter("c", "Coefficient.", log=True), Parameter("d", "Exponent of D.", False, "D")]
    return [*tokens, Parameter("n", "Exponent of N.", False, "N")] if knobs.of == "lr" else tokens


def variables(knobs: Knobs) -> dict[str, str]:
    size = {"N": "parameters without embeddings, head and norms"} if knobs.of == "lr" else {}
    return {**size, "D": "tokens"}


def target(knobs: Knobs) -> str:
    return knobs.of


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points): learning rate, or tokens"""
    found = params["c"] * variables["D"] ** params["d"]
    return found * variables["N"] ** params["n"] if knobs.of == "lr" else found


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    grid = {"c": [-10.0, -5.0, 0.0, 5.0, 10.0], "d": [0.0, 0.25, 0.5, 0.75]}
    return {**grid, "n": [-1.0, -0.5, 0.0]} if knobs.of == "lr" else grid


def learning_rate(N: Any, D: Any) -> Any:
    """The published law. N without embeddings, head and norms."""
    return LEARNING_RATE["c"] * N ** LEARNING_RATE["n"] * D ** LEARNING_RATE["d"]


def batch_tokens(D: Any) -> Any:
    """The published law, in tokens."""
    return BATCH["c"] * D ** BATCH["d"]
