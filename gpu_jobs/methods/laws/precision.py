"""Precision: weights, activations and cached keys and values of few bits are worth fewer parameters.

    L(N, D, P) = A / N'^alpha + B / D^beta + E
    weights   N' = N (1 - exp(-P / gamma))
    parts     N' = N (1 - exp(-P_w / gamma_w)) (1 - exp(-P_a / gamma_a)) (1 - exp(-P_kv / gamma_kv))
    equal     N' = N (1 - exp(-P / gamma))^3

(Kumar et al. 2024, training in low precision; the three forms were read in the paper.) P are bits in training. The loss
that quantisation after training adds is not part of it. C is 6 N D here; the authors count 6 N D P / 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.smooth import exp

PAPER = "https://arxiv.org/abs/2411.04330"
PARTS = {"w": "a weight", "a": "an activation", "kv": "a cached key or value"}


class Knobs(LawKnobs):
    name: Literal["precision"]
    of: Literal["weights", "parts", "equal"] = Field(
        "weights", description="What has few bits: weights alone, three parts with bits of their own, or all alike."
    )


def parameters(knobs: Knobs) -> list[Parameter]:
    found = [
        Parameter("E", "Loss that is left with infinite N and D.", log=True),
        Parameter("A", "Coefficient of the parameters' term.", log=True),
        Parameter("B", "Coefficient of the tokens' term.", log=True),
        Parameter("alpha", "Exponent of N.", exponent_of="N"),
        Parameter("beta", "Exponent of D.", exponent_of="D"),
    ]
    if knobs.of != "parts":
        return [*found, Parameter("gamma", "Bits after which more are worth little.", log=True)]
    return [*found, *(Parameter(f"gamma_{part}", f"The same, of {what}.", log=True) for part, what in PARTS.items())]


def variables(knobs: Knobs) -> dict[str, str]:
    sizes = {"N": "parameters", "D": "tokens"}
    if knobs.of == "parts":
        return {**sizes, **{f"P_{part}": f"bits of {what} in training" for part, what in PARTS.items()}}
    return {**sizes, "P": f"bits of {'a weight' if knobs.of == 'weights' else 'every part'} in training"}


def target(knobs: Knobs) -> str:
    return "loss"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points) in nats"""
    worth = variables["N"] * _share(knobs, params, variables)
    return params["E"] + params["A"] * worth ** -params["alpha"] + params["B"] * variables["D"] ** -params["beta"]


def _share(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """Of the parameters that is left."""
    if knobs.of == "parts":
        weights, activations, cache = (_kept(variables[f"P_{part}"], params[f"gamma_{part}"]) for part in PARTS)
        return weights * activations * cache
    return _kept(variables["P"], params["gamma"]) ** (3.0 if knobs.of == "equal" else 1.0)


def _kept(bits: Any, gamma: Any) -> Any:
    return 1.0 - exp(-(bits / gamma))


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    coefficients, powers = [2.0, 6.0, 10.0, 14.0], [0.2, 0.4, 0.7]
    grid = {"E": [-1.0, 0.0, 0.6], "A": coefficients, "B": coefficients, "alpha": powers, "beta": powers}
    names = [f"gamma_{part}" for part in PARTS] if knobs.of == "parts" else ["gamma"]
    return {**grid, **{name: [-0.5, 0.5, 1.5] for name in names}}
