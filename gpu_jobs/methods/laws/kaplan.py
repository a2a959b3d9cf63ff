"""Kaplan: loss by size, by size and tokens, by size and steps at any batch, and the critical batch.

    size          L(N) = (Nc/N)^alpha_N
    size_tokens   L(N, D) = ((Nc/N)^(alpha_N/alpha_D) + Dc/D)^alpha_D
    size_steps    L(N, S) = (Nc/N)^alpha_N + (Sc/Smin)^alpha_S,   Smin = S / (1 + Bcrit(L)/B)
    batch         Bcrit(L) = B_star / L^(1/alpha_B)

(Kaplan et al. 2020, whose constants hold for their own set-up only and are fitted anew here; the step-by-step use of
them is "Unraveling the Mystery of Scaling Laws, Part I".) In size_steps the loss stands on both sides: it is solved for
by Newton's method, and the derivatives are those of the implicit function. As B grows, Smin goes to S. Fix B_star and
alpha_B where all runs have one batch, which says nothing about them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.smooth import log, plain

PAPER = "https://arxiv.org/abs/2001.08361"
ROUNDS = 12  # Newton's method on a convex, falling function from below: quadratic, no overshoot
_BATCH = [
    Parameter("B_star", "Critical batch at a loss of 1, in the batch's unit.", log=True),
    Parameter("alpha_B", "Exponent of the loss in the critical batch.", log=True),
]


class Knobs(LawKnobs):
    name: Literal["kaplan"]
    form: Literal["size", "size_tokens", "size_steps", "batch"] = Field(
        "size_tokens", description="What the loss is explained by; batch: the critical batch by the loss."
    )


def parameters(knobs: Knobs) -> list[Parameter]:
    size = [Parameter("Nc", "Scale of N.", log=True), Parameter("alpha_N", "Exponent of N.", exponent_of="N")]
    if knobs.form == "size_tokens":
        return [*size, Parameter("Dc", "Scale of D.", log=True), Parameter("alpha_D", "Exponent of D.", False, "D")]
    if knobs.form == "size_steps":
        steps = [Parameter("Sc", "Scale of the steps.", log=True), Parameter("alpha_S", "Exponent of S.", False, "S")]
        return [*size, *steps, *_BATCH]
    return _BATCH if knobs.form == "batch" else size


def variables(knobs: Knobs) -> dict[str, str]:
    return {
        "size": {"N": "parameters without embeddings"},
        "size_tokens": {"N": "parameters without embeddings", "D": "tokens"},
        "size_steps": {"N": "parameters without embeddings", "S": "steps", "B": "batch, in tokens"},
        "batch": {"loss": "nats"},
    }[knobs.form]


def target(knobs: Knobs) -> str:
    return "B" if knobs.form == "batch" else "loss"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points): nats, or the critical batch in the unit of B_star"""
    if knobs.form == "batch":
        return params["B_star"] * variables["loss"] ** (-1.0 / params["alpha_B"])
    alpha_N, share = params["alpha_N"], params["Nc"] / variables["N"]
    if knobs.form == "size":
        return share**alpha_N
    if knobs.form == "size_tokens":
        return (share ** (alpha_N / params["alpha_D"]) + params["Dc"] / variables["D"]) ** params["alpha_D"]
    return _trajectory(share**alpha_N, params, variables)


def _trajectory(floor: Any, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """The L with L = floor + (Sc/S)^alpha_S (1 + B_star/B L^(-1/alpha_B))^alpha_S."""
    steps = (params["Sc"] / variables["S"]) ** params["alpha_S"]
    given = floor, steps, params["B_star"] / variables["B"], params["alpha_B"], params["alpha_S"]
    fixed = tuple(map(plain, given))
    loss = fixed[0] + fixed[1]  # at an infinite batch: never above the solution
    for _ in range(ROUNDS):
        value, slope = _step(loss, *fixed)
        loss = loss - (loss - value) / (1.0 - slope)
    value, _ = _step(loss, *given)
    return loss + (value - loss) / (1.0 - _step(loss, *fixed)[1])


def _step(loss: Any, floor: Any, steps: Any, batch: Any, alpha_B: Any, alpha_S: Any) -> tuple[Any, Any]:
    """The right-hand side and its slope by the loss, which is negative."""
    noise = batch * loss ** (-1.0 / alpha_B)
    part = steps * (1.0 + noise) ** alpha_S
    return floor + part, -part * alpha_S / (1.0 + noise) * noise / (alpha_B * loss)


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    if knobs.form == "batch":
        return {"B_star": [5.0, 10.0, 15.0, 20.0, 25.0], "alpha_B": [float(log(x)) for x in (0.1, 0.2, 0.4, 0.8)]}
    powers = [0.05, 0.1, 0.2, 0.4, 0.8]
    grid = {"Nc": [10.0, 17.0, 24.0, 31.0, 38.0], "alpha_N": powers}
    if knobs.form == "size_tokens":
        return {**grid, "Dc": [10.0, 17.0, 24.0, 31.0, 38.0], "alpha_D": powers}
    if knobs.form == "size_steps":
        middle = float(log(variables["B"]).mean())
        batch = {"B_star": [middle, middle + 5.0], "alpha_B": [float(log(x)) for x in (0.2, 0.5)]}
        return {**grid, "Sc": [2.0, 5.0, 8.0, 11.0], "alpha_S": [0.3, 0.7, 1.2], **batch}
    return grid
