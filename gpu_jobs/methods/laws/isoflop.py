"""IsoFLOP: the best size at each budget from a parabola, and a power law through those.

    loss = p + q (ln N - ln N_opt)^2   at each C          N_opt = G (C/6)^a,   D_opt = C / (6 N_opt)

(Hoffmann et al. 2022, approach 2.) Rows whose C agree within `tolerance` are one slice. A slice counts only where it
has at least 3 sizes, its parabola opens upwards, and its optimum lies within its sizes. Resamples keep the slices of
all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.reductions import ends, once, only, parabolas
from gpu_jobs.smooth import log

PAPER = "https://arxiv.org/abs/2203.15556"
NEEDS = ("N", "C", "loss")


class Knobs(LawKnobs):
    name: Literal["isoflop"]
    tolerance: float = Field(0.1, gt=0, lt=1, description="Budgets that differ by less than this share are one slice.")


def parameters(knobs: Knobs) -> list[Parameter]:
    """Of N_opt = G (C/6)^a."""
    return [
        Parameter("G", "Best N at a budget of 6 FLOPs.", log=True),
        Parameter("a", "Exponent of compute in the best N.", exponent_of="C"),
    ]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"C": "FLOPs"}


def target(knobs: Knobs) -> str:
    return "N_opt"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points): the best N"""
    return params["G"] * (variables["C"] / 6) ** params["a"]


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    """Lines through the middle of the optima, in logarithms."""
    centre, height = float(log(variables["C"] / 6).mean()), float(log(target).mean())
    powers = [0.2, 0.4, 0.5, 0.6, 0.8]
    return {"G": [height - power * centre for power in powers], "a": powers}


def derived(knobs: Knobs, params: Mapping[str, Any]) -> dict[str, Any]:
    """The exponent of the best D."""
    return {"b": 1.0 - params["a"]}


def optimum(knobs: Knobs, params: Mapping[str, Any], compute: Any) -> tuple[Any, Any]:
    """(N, D) of a budget in FLOPs"""
    size = params["G"] * (compute / 6) ** params["a"]
    return size, compute / (6 * size)


def reduce(knobs: Knobs, columns: Mapping[str, Any]) -> dict[str, Any]:
    """C, N_opt, D_opt, loss and curvature of each slice. Raises DataError where no slice has an optimum."""
    said = "isoflop: no budget has 3 sizes with a least loss between them: add smaller or larger ones"
    return only(*reduce_all(knobs, columns, once(columns)), said)


def reduce_all(knobs: Knobs, columns: Mapping[str, Any], counts: Any) -> tuple[dict[str, Any], Any]:
    """The same of resamples, (resamples, slices) each, and whether the slice has an optimum."""
    import numpy

    size, compute, loss = (columns[name] for name in NEEDS)
    found = []
    for rows in slices(compute, knobs.tolerance):
        x, weights = numpy.log(size[rows]), counts[:, rows]
        curve, (low, high) = parabolas(x, loss[rows], weights), ends(x, weights)
        with numpy.errstate(all="ignore"):
            good = (curve.curve > 0) & (low <= curve.vertex) & (curve.vertex <= high)
            budget = numpy.exp(weights @ numpy.log(compute[rows]) / weights.sum(1))
            found.append((budget, numpy.exp(curve.vertex), curve.extreme, curve.curve, good))
    C, N, least, curves, present = (numpy.stack(side, axis=1) for side in zip(*found, strict=True))
    with numpy.errstate(all="ignore"):
        return {"C": C, "N_opt": N, "D_opt": C / (6 * N), "loss": least, "curvature": curves}, present


def slices(compute: Any, tolerance: float) -> list[Any]:
    """The rows of each budget: sorted, a gap of more than the tolerance begins a new one."""
    import numpy

    order = numpy.argsort(compute, kind="stable")
    gaps = numpy.flatnonzero(numpy.diff(numpy.log(compute[order])) > numpy.log1p(tolerance))
    return list(numpy.split(order, gaps + 1))
