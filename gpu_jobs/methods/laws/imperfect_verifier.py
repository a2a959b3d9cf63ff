"""Imperfect verifier: what up to k samples are worth when the verifier that accepts one of them errs.

    value(k) = sum over i of p_i (c r_i - cost (1 - s) (1 - r_i)) (1 - q_i^k) / (1 - q_i)
    q_i      = (1 - c) r_i + s (1 - r_i)                    the chance that a sample of a task of type i is rejected

(Stroebl et al. 2024, Inference Scaling fLaws, model of easy and hard tasks; checked against a summary, not the paper,
and summed up here as geometric series.) Easy tasks (share p, accuracy r_easy) and hard ones (share 1 - p, r_hard). The
verifier accepts a right answer with chance c, its completeness, and rejects a wrong one with chance s, its soundness.
The first accepted sample ends the search: a right one is worth 1, a wrong one -`cost`, none 0. Without cost this is the
accuracy, which stays below its limit for any k; with cost it has a finite best k, 0 where cost is high (`best`). Shares
and chances are not confined to 0..1. Accuracies alone do not tell c from s: fix c, at 1 where all right answers pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.law import LawKnobs, Parameter

PAPER = "https://arxiv.org/abs/2411.17501"


class Knobs(LawKnobs):
    name: Literal["imperfect_verifier"]
    cost: float = Field(0.0, ge=0, le=1000, description="What a wrong answer costs, where a right one is worth 1.")


def parameters(knobs: Knobs) -> list[Parameter]:
    return [
        Parameter("p", "Share of easy tasks.", log=True),
        Parameter("r_easy", "Accuracy of one sample on easy tasks.", log=True),
        Parameter("r_hard", "The same on hard tasks.", log=True),
        Parameter("c", "Completeness: chance that a right answer is accepted.", log=True),
        Parameter("s", "Soundness: chance that a wrong answer is rejected.", log=True),
    ]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"k": "samples at most"}


def target(knobs: Knobs) -> str:
    return "value" if knobs.cost else "accuracy"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points): the value, or without cost the share of tasks that end with a right answer"""
    easy = _worth(params["r_easy"], params, variables["k"], knobs.cost)
    return params["p"] * easy + (1.0 - params["p"]) * _worth(params["r_hard"], params, variables["k"], knobs.cost)


def _worth(right: Any, params: Mapping[str, Any], k: Any, cost: float) -> Any:
    """Of tasks of one type."""
    complete, sound = params["c"], params["s"]
    rejected = (1.0 - complete) * right + sound * (1.0 - right)
    gain = complete * right - cost * (1.0 - sound) * (1.0 - right)
    return gain * (1.0 - rejected**k) / (1.0 - rejected)


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    return {
        "p": [-1.6, -0.7, -0.2],
        "r_easy": [-0.7, -0.2, -0.05],
        "r_hard": [-4.0, -2.3, -1.2],
        "c": [-0.4, -0.05],
        "s": [-0.7, -0.2, -0.03],
    }


def derived(knobs: Knobs, params: Mapping[str, Any]) -> dict[str, Any]:
    """The value of one sample, and the limit of endless ones."""
    held = {name: params[name] for name in ("p", "r_easy", "r_hard", "c", "s")}
    return {"once": predict(knobs, held, {"k": 1.0}), "limit": predict(knobs, held, {"k": 1e12})}


def best(knobs: Knobs, params: Mapping[str, float], most: int = 10_000) -> int:
    """The number of samples of the highest value; 0 where none is better."""
    import numpy

    values = numpy.asarray(predict(knobs, params, {"k": numpy.arange(0.0, most + 1)}))
    return int(values.argmax())
