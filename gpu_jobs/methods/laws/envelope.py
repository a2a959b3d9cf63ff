"""Envelope: the size whose training curve is lowest at each compute, and a power law through those.

    N_opt(C) = argmin over runs of loss(C) = G (C/6)^a

(Hoffmann et al. 2022, approach 1.) Rows are points of training curves. Each curve is read at `levels` budgets, evenly
spaced in ln C, by interpolation in ln C; a budget counts where at least 2 curves reach it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.errors import DataError
from gpu_jobs.law import LawKnobs
from gpu_jobs.methods.laws.isoflop import derived, optimum, parameters, predict, starts, target, variables

__all__ = ["derived", "optimum", "parameters", "predict", "starts", "target", "variables"]  # of the power law
PAPER = "https://arxiv.org/abs/2203.15556"
NEEDS = ("N", "C", "loss")


class Knobs(LawKnobs):
    name: Literal["envelope"]
    levels: int = Field(200, ge=5, le=5000, description="Budgets at which the curves are compared.")


def reduce(knobs: Knobs, columns: Mapping[str, Any]) -> dict[str, Any]:
    """C, N_opt and loss at each level. Raises DataError where no two curves meet."""
    import numpy

    size, compute, loss = (columns[name] for name in NEEDS)
    levels = numpy.linspace(numpy.log(compute.min()), numpy.log(compute.max()), knobs.levels)
    sizes, curves = numpy.unique(size), []
    for each in sizes:
        rows = numpy.flatnonzero(size == each)
        rows = rows[numpy.argsort(compute[rows], kind="stable")]
        curves.append(numpy.interp(levels, numpy.log(compute[rows]), loss[rows], left=numpy.inf, right=numpy.inf))
    table = numpy.array(curves)  # (sizes, levels)
    met = numpy.isfinite(table).sum(0) >= 2
    if not met.any():
        raise DataError("envelope: no two sizes have losses at one budget: log their loss more often, or train longer")
    best = table[:, met].argmin(0)
    C = numpy.exp(levels[met])
    return {"C": C, "N_opt": sizes[best], "D_opt": C / (6 * sizes[best]), "loss": table[:, met].min(0)}
