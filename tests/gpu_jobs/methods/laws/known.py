"""Every law with coefficients that are known, and points made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_jobs import registry
from gpu_jobs.engine.laws.objectives import Array, loss_of
from gpu_jobs.engine.laws.problem import Problem
from gpu_jobs.methods.laws import efficiency_leverage
from gpu_jobs.points import HuberLog, LeastSquaresLog

RANDOM = np.random.RandomState(0)
POINTS = 48


def spread(low: float, high: float) -> Array:
    """Evenly in logarithms, in random order: no two columns go together."""
    return RANDOM.permutation(np.geomspace(low, high, POINTS))


@dataclass(frozen=True)
class Known:
    """`law` with its knobs, the coefficients that made the points, and the variables."""

    law: dict[str, Any]
    params: Mapping[str, float]
    variables: Mapping[str, Array]

    def problem(self, noise: float = 0.0, objective: Any = None) -> Problem:
        knobs = registry.methods("laws")[self.law["name"]].knobs.model_validate(self.law)
        exact = registry.method_of(knobs).module.predict(knobs, self.params, self.variables)
        target = np.asarray(exact) * np.exp(noise * np.random.RandomState(1).standard_normal(POINTS))
        return Problem(knobs, self.variables, target, loss_of(objective or HuberLog()))


SIZES, TOKENS = spread(1e7, 1e10), spread(1e9, 1e12)
CHINCHILLA = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
BITS = [3.0, 4.0, 6.0, 8.0, 16.0]
VERIFIER = {
    "p": 0.58,
    "r_easy": 0.87,
    "r_hard": 0.13,
    "c": 1.0,
    "s": 0.75,
}  # Stroebl et al., Llama 3.1 8B on HumanEval+
KNOWN = {
    "chinchilla": Known({"name": "chinchilla"}, CHINCHILLA, {"N": SIZES, "D": TOKENS}),
    "chinchilla, tied": Known(
        {"name": "chinchilla", "tied": True},
        {"E": 1.87, "A": 520.0, "B": 1490.0, "alpha": 0.353},
        {"N": SIZES, "D": TOKENS},
    ),
    "kaplan, size": Known({"name": "kaplan", "form": "size"}, {"Nc": 8.8e13, "alpha_N": 0.076}, {"N": SIZES}),
    "kaplan, size and tokens": Known(
        {"name": "kaplan"}, {"Nc": 6.4e13, "alpha_N": 0.076, "Dc": 1.8e13, "alpha_D": 0.103}, {"N": SIZES, "D": TOKENS}
    ),
    "kaplan, size and steps": Known(
        {"name": "kaplan", "form": "size_steps"},
        {"Nc": 6.5e13, "alpha_N": 0.077, "Sc": 2.1e3, "alpha_S": 0.76, "B_star": 2.1e8, "alpha_B": 0.21},
        {"N": spread(1e6, 1e9), "S": spread(1e3, 1e5), "B": spread(1e4, 1e7)},
    ),
    "kaplan, batch": Known(
        {"name": "kaplan", "form": "batch"}, {"B_star": 2.1e8, "alpha_B": 0.21}, {"loss": spread(1.8, 5.0)}
    ),
    "power": Known({"name": "power"}, {"c": 30.0, "a": 0.12, "E": 1.7}, {"C": spread(1e15, 1e22)}),
    "power, no floor": Known({"name": "power", "offset": False}, {"c": 30.0, "a": 0.05}, {"C": spread(1e15, 1e22)}),
    "overtraining": Known(
        {"name": "overtraining"}, {"E": 1.84, "a": 212.0, "b": 367.0, "eta": 0.136}, {"N": SIZES, "D": TOKENS}
    ),
    "overtraining, error": Known(
        {"name": "overtraining", "form": "error"}, {"eps": 0.857, "k": 2.21, "gamma": 0.715}, {"loss": spread(1.8, 5.0)}
    ),
    "data_constrained": Known(
        {"name": "data_constrained", "fixed": {"E": 1.87, "A": 521.0, "B": 1488.0, "alpha": 0.353}},
        {"E": 1.87, "A": 521.0, "B": 1488.0, "alpha": 0.353, "R_D_star": 15.4, "R_N_star": 5.3},
        {"N": SIZES, "D": TOKENS, "U": TOKENS / spread(1.0, 60.0)},
    ),
    "asymptote_n": Known({"name": "asymptote_n"}, {"E": 3.17, "A": 900.0, "alpha": 0.41}, {"N": SIZES}),
    "parscale": Known(
        {"name": "parscale"},
        {"E": 1.29, "A": 1.97e8, "alpha": 0.196, "k": 0.33},
        {"N": SIZES, "P": RANDOM.choice([1.0, 2.0, 4.0, 8.0], POINTS)},
    ),
    "pass_until": Known({"name": "pass_until"}, {"c": 900.0, "a": 0.33}, {"N": SIZES}),
    "step_law, lr": Known({"name": "step_law"}, {"c": 1.79, "n": -0.713, "d": 0.307}, {"N": SIZES, "D": TOKENS}),
    "step_law, batch": Known({"name": "step_law", "of": "batch"}, {"c": 0.58, "d": 0.571}, {"D": TOKENS}),
    "isoflop": Known({"name": "isoflop"}, {"G": 0.11, "a": 0.51}, {"C": spread(1e18, 1e22)}),
    "envelope": Known({"name": "envelope"}, {"G": 0.11, "a": 0.51}, {"C": spread(1e18, 1e22)}),
    "densing": Known({"name": "densing"}, {"A": 0.0073, "B": -2.0}, {"t": np.linspace(0, 700, POINTS)}),
    "densing, loss": Known(
        {"name": "densing", "form": "loss"},
        {"a": 300.0, "alpha": 0.31, "b": 9.0, "beta": 0.06},
        {"N": SIZES, "D": TOKENS},
    ),
    "densing, score": Known(
        {"name": "densing", "form": "score"},
        {"c": 0.65, "gamma": -3.0, "l": 2.3, "d": 0.25},
        {"loss": np.linspace(1.5, 3.5, POINTS)},
    ),
    "sparsity": Known(
        {"name": "sparsity"},
        {"a_S": 17.0, "b_S": 0.72, "c_S": 45.0, "b_N": 0.245, "a_D": 6.9e8, "b_D": 0.203, "c": 0.65},
        {"S": RANDOM.choice([0.0, 0.5, 0.75, 0.875], POINTS), "N": SIZES, "D": TOKENS},
    ),
    "precision": Known(
        {"name": "precision"},
        {**CHINCHILLA, "gamma": 2.7},
        {"N": SIZES, "D": TOKENS, "P": RANDOM.choice([3.0, 4.0, 6.0, 8.0, 16.0], POINTS)},
    ),
    "precision of parts": Known(
        {"name": "precision", "of": "parts"},
        {**CHINCHILLA, "gamma_w": 2.7, "gamma_a": 2.2, "gamma_kv": 0.95},
        {"N": SIZES, "D": TOKENS, **{f"P_{part}": RANDOM.choice(BITS, POINTS) for part in ("w", "a", "kv")}},
    ),
    "precision, all alike": Known(
        {"name": "precision", "of": "equal"},
        {**CHINCHILLA, "gamma": 2.0},
        {"N": SIZES, "D": TOKENS, "P": RANDOM.choice(BITS, POINTS)},
    ),
    "samples": Known({"name": "samples"}, {"a": 1.8, "b": 0.35}, {"k": spread(1, 1e4)}),
    "imperfect_verifier": Known(
        {"name": "imperfect_verifier", "fixed": {"c": 1.0}}, VERIFIER, {"k": np.repeat(np.arange(1.0, 25.0), 2)}
    ),
    "imperfect_verifier, at a cost": Known(
        {"name": "imperfect_verifier", "cost": 0.5, "fixed": {"c": 1.0, "s": 0.75}},
        VERIFIER,
        {"k": np.repeat(np.arange(1.0, 25.0), 2)},
    ),
    "efficiency_leverage": Known(
        {"name": "efficiency_leverage", "fixed": {"A_max": 5.28e16}},
        efficiency_leverage.PUBLISHED,
        {"A": spread(0.008, 1.0), "G": RANDOM.choice([2.0, 4.0, 8.0, 12.0, 16.0], POINTS), "C": spread(1e18, 1e21)},
    ),
    "repeated_data": Known({"name": "repeated_data"}, {"c": 1e-4, "a": 0.7}, {"N": SIZES}),
    "lr_sensitivity": Known(
        {"name": "lr_sensitivity", "initial_loss": 10.0}, {"c": 1e-3, "a": 0.3}, {"N": spread(1e7, 1e10)}
    ),
    "routing": Known(
        {"name": "routing"},
        {"a": -0.082, "b": -0.108, "c": 0.004, "d": 2.45, "E_start": 1.85, "E_max": 314.0},
        {"N": spread(1.5e7, 1.3e9), "E": RANDOM.choice([1.0, 2.0, 8.0, 32.0, 128.0, 512.0], POINTS)},
    ),
    "kinetics_cost": Known(
        {"name": "kinetics_cost"},
        {"I": 562.5},
        {
            "T": RANDOM.choice([1.0, 4.0, 16.0], POINTS),
            "N": SIZES,
            "K": spread(1e3, 1e5),
            "r": RANDOM.choice([2.0, 4.0, 8.0], POINTS),
            "read": spread(100, 5000),
            "written": spread(500, 30000),
        },
    ),
    "compute_class": Known({"name": "compute_class"}, {"c": 3.1, "a": 0.09}, {"hours": spread(1, 1000)}),
    "expression": Known(
        {
            "name": "expression",
            "expression": "E + A / N**alpha + B * exp(-beta * log(D))",
            "unknowns": [
                {"name": "E", "log": True, "starts": [-1, 0, 0.5, 1]},
                {"name": "A", "log": True, "starts": [2, 6, 10, 15]},
                {"name": "B", "log": True, "starts": [2, 6, 10, 15]},
                {"name": "alpha", "starts": [0.1, 0.3, 0.6, 1]},
                {"name": "beta", "starts": [0.1, 0.3, 0.6, 1]},
            ],
        },
        CHINCHILLA,
        {"N": SIZES, "D": TOKENS},
    ),
}
SMOOTH = LeastSquaresLog()
