"""Power law: one column as a power of another, with or without a floor.

    y = c / x^a  (+ E)

With E, the "infinite" value of Hestness et al. 2017. Negative a: y grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.smooth import log

PAPER = "https://arxiv.org/abs/1712.00409"


class Knobs(LawKnobs):
    name: Literal["power"]
    offset: bool = Field(True, description="Whether there is a floor E under it.")
    x: str = Field("C", min_length=1, max_length=100, description="The column that explains.")
    y: str = Field("loss", min_length=1, max_length=100, description="The column that is explained.")


def parameters(knobs: Knobs) -> list[Parameter]:
    both = [
        Parameter("c", "Coefficient: y minus the floor, at x = 1.", log=True),
        Parameter("a", "Exponent.", False, knobs.x),
    ]
    return [*both, Parameter("E", "Floor, reached as x grows.", log=True)] if knobs.offset else both


def variables(knobs: Knobs) -> dict[str, str]:
    return {knobs.x: ""}


def target(knobs: Knobs) -> str:
    return knobs.y


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points)"""
    term = params["c"] * variables[knobs.x] ** -params["a"]
    return params["E"] + term if knobs.offset else term


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    return power_grid(variables[knobs.x], target, offset=knobs.offset)


def power_grid(x: Any, y: Any, *, offset: bool) -> dict[str, list[float]]:
    """Starts for c / x^a (+ E): coefficients around those with which each exponent meets the middle of the points."""
    centre, height = float(log(x).mean()), float(log(abs(y)).mean())
    powers = [-1.0, -0.5, -0.2, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0]
    if not offset:
        return {"c": sorted({height + power * centre for power in powers}), "a": powers}
    shares = (-3.0, -1.0, 0.0)
    floor = float(log(abs(y).min()))
    coefficients = sorted({height + power * centre + share for power in powers for share in shares})
    return {"c": coefficients, "a": powers, "E": [floor - 3.0, floor - 1.0, floor - 0.3, floor - 0.05]}
