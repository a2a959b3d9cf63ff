"""Compute class: loss by accelerator hours, and where two families of models cross.

    L(h) = c / h^a (+ E),      tokens = throughput x hours

(Stanic et al. 2023, Languini Kitchen; the form of the trend is a power law here, unchecked against the paper.) Runs are
compared by the time they take on one accelerator, so a slow model sees fewer tokens. `crossing` tells from how many
hours on one family is better than another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.methods.laws.power import power_grid

PAPER = "https://arxiv.org/abs/2309.11197"


class Knobs(LawKnobs):
    name: Literal["compute_class"]
    offset: bool = Field(False, description="Whether there is a floor E under it.")


def parameters(knobs: Knobs) -> list[Parameter]:
    both = [
        Parameter("c", "Loss above the floor after one hour.", log=True),
        Parameter("a", "Exponent.", False, "hours"),
    ]
    return [*both, Parameter("E", "Floor, reached as hours grow.", log=True)] if knobs.offset else both


def variables(knobs: Knobs) -> dict[str, str]:
    return {"hours": "hours of one accelerator"}


def target(knobs: Knobs) -> str:
    return "loss"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points) in nats"""
    term = params["c"] * variables["hours"] ** -params["a"]
    return params["E"] + term if knobs.offset else term


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    return power_grid(variables["hours"], target, offset=knobs.offset)


def tokens(throughput: float, hours: float) -> float:
    """Of a class, at `throughput` tokens a second."""
    return throughput * hours * 3600


def crossing(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """Hours at which two trends without a floor meet; None where they are parallel."""
    if one["a"] == other["a"]:
        return None
    return float((one["c"] / other["c"]) ** (1 / (one["a"] - other["a"])))
