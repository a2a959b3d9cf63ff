"""Repeated data: how many repeats of a small part of the data do the most harm, by size.

    worst_repeats(N) = c N^a

(Chudnovsky et al. 2026, Internal Data Repetition Destroys Language Models: of a constant share of repeated tokens, the
loss is worst at an intermediate number of repeats, and the place of this peak is well fitted by a power law of the
size; from the abstract, the rest is unchecked against the paper. Hernandez et al. 2022 found the harm: 0.1 % of the
data repeated 100 times, a tenth of the tokens, makes 800M parameters as good as 400M. They give no formula of it.)
Rows are runs with one share of repeated tokens and one token budget. The peak of each size is the vertex of a parabola
of loss by ln repeats; a size counts where it has 3 numbers of repeats, the parabola opens downwards, and the vertex
lies among them. That parabola is a choice of this module. Epochs of all data are the matter of data_constrained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from gpu_jobs.errors import MethodError
from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.methods.laws.power import power_grid
from gpu_jobs.reductions import ends, once, only, parabolas

PAPER = "https://arxiv.org/abs/2606.24998"
NEEDS = ("N", "repeats", "loss")


class Knobs(LawKnobs):
    name: Literal["repeated_data"]


def parameters(knobs: Knobs) -> list[Parameter]:
    return [Parameter("c", "Coefficient.", log=True), Parameter("a", "Exponent of N.", exponent_of="N")]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"N": "parameters"}


def target(knobs: Knobs) -> str:
    return "worst_repeats"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points): repeats"""
    return params["c"] * variables["N"] ** params["a"]


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    grid = power_grid(variables["N"], target, offset=False)
    return {"c": grid["c"], "a": [-power for power in grid["a"]]}


def reduce(knobs: Knobs, columns: Mapping[str, Any]) -> dict[str, Any]:
    """N, worst_repeats, loss and curvature of each size. Raises DataError where no size has a peak."""
    said = "repeated_data: no size has 3 numbers of repeats with a highest loss between them: add fewer or more repeats"
    return only(*reduce_all(knobs, columns, once(columns)), said)


def reduce_all(knobs: Knobs, columns: Mapping[str, Any], counts: Any) -> tuple[dict[str, Any], Any]:
    """The same of resamples, (resamples, sizes) each, and whether the size has a peak."""
    import numpy

    sizes, found = numpy.unique(columns["N"]), []
    for size in sizes:
        rows = numpy.flatnonzero(columns["N"] == size)
        x, weights = numpy.log(columns["repeats"][rows]), counts[:, rows]
        curve, (low, high) = parabolas(x, columns["loss"][rows], weights), ends(x, weights)
        with numpy.errstate(all="ignore"):
            good = (curve.curve < 0) & (low <= curve.vertex) & (curve.vertex <= high)
            found.append((numpy.exp(curve.vertex), curve.extreme, curve.curve, good))
    worst, loss, curves, present = (numpy.stack(side, axis=1) for side in zip(*found, strict=True))
    N = numpy.broadcast_to(sizes, present.shape)
    return {"N": N, "worst_repeats": worst, "loss": loss, "curvature": curves}, present


def repeats(budget: float, share: float, unique: float) -> float:
    """How often each of `unique` tokens is seen where `share` of the token budget goes to them."""
    if not (budget > 0 and 0 < share <= 1 and 0 < unique <= share * budget):
        raise MethodError(f"need 0 < share <= 1 and 0 < unique <= share x budget: {share}, {unique}, {budget}")
    return share * budget / unique


class Rise(NamedTuple):
    """The test loss went up by `height` from its low, at index `start`, to `end`, and then fell again, or not."""

    start: int
    end: int
    height: float
    falls_again: bool


def rise(losses: Sequence[float], least: float = 0.0) -> Rise | None:
    """The largest rise of a run's test loss; None where none is above `least`. Double descent falls again."""
    found, low = None, 0
    for place, loss in enumerate(losses):
        if loss < losses[low]:
            low = place
        elif loss - losses[low] > (found.height if found else least):
            found = Rise(low, place, loss - losses[low], False)
    return found and found._replace(falls_again=min(losses[found.end :]) < losses[found.start])
