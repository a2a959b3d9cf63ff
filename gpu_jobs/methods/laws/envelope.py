"""Envelope: the size whose training curve is lowest at each compute, and a power law through those.

    N_opt(C) = argmin over runs of loss(C) = G (C/6)^a

(Hoffmann et al. 2022, approach 1.) Rows are points of training curves. Each curve is read at `levels` budgets, evenly
spaced in ln C, by interpolation in ln C; a budget counts where at least 2 curves reach it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gpu_jobs.law import LawKnobs
from gpu_jobs.methods.laws.isoflop import derived, optimum, parameters, predict, starts, target, variables
from gpu_jobs.reductions import ends, once, only

__all__ = ["derived", "optimum", "parameters", "predict", "starts", "target", "variables"]  # of the power law
PAPER = "https://arxiv.org/abs/2203.15556"
NEEDS = ("N", "C", "loss")


class Knobs(LawKnobs):
    name: Literal["envelope"]
    levels: int = Field(200, ge=5, le=5000, description="Budgets at which the curves are compared.")


def reduce(knobs: Knobs, columns: Mapping[str, Any]) -> dict[str, Any]:
    """C, N_opt, D_opt and loss at each level. Raises DataError where no two curves meet."""
    said = "envelope: no two sizes have losses at one budget: log their loss more often, or train longer"
    return only(*reduce_all(knobs, columns, once(columns)), said)


def reduce_all(knobs: Knobs, columns: Mapping[str, Any], counts: Any) -> tuple[dict[str, Any], Any]:
    """The same of resamples, (resamples, levels) each, and whether two curves meet at the level."""
    import numpy

    size, compute, loss = (columns[name] for name in NEEDS)
    logs, here = numpy.log(compute), counts > 0
    low, high = ends(logs, counts)
    levels = numpy.linspace(low, high, knobs.levels, axis=1)
    sizes, curves = numpy.unique(size), []
    for each in sizes:
        rows = numpy.flatnonzero(size == each)
        rows = rows[numpy.argsort(compute[rows], kind="stable")]
        curves.append(_read(levels, logs[rows], loss[rows], here[:, rows]))
    table = numpy.array(curves)  # (sizes, resamples, levels)
    C, N = numpy.exp(levels), sizes[table.argmin(0)]
    found = {"C": C, "N_opt": N, "D_opt": C / (6 * N), "loss": table.min(0)}
    return found, numpy.isfinite(table).sum(0) >= 2


def _read(levels: Any, x: Any, y: Any, here: Any) -> Any:
    """A curve at the levels, through the points that each resample has, (resamples, levels); infinite outside."""
    import numpy

    last, places = len(x) - 1, numpy.arange(len(x))
    before = numpy.maximum.accumulate(numpy.where(here, places, -1), axis=1)
    after = numpy.minimum.accumulate(numpy.where(here, places, last + 1)[:, ::-1], axis=1)[:, ::-1]
    place = numpy.searchsorted(x, levels, side="right") - 1
    left = numpy.where(place < 0, -1, numpy.take_along_axis(before, place.clip(0), axis=1))
    right = numpy.where(place >= last, last + 1, numpy.take_along_axis(after, (place + 1).clip(0, last), axis=1))
    start, end = left.clip(0), right.clip(0, last)
    exact = x[start] == levels
    with numpy.errstate(all="ignore"):
        share = numpy.where(exact, 0.0, (levels - x[start]) / (x[end] - x[start]))
        found = y[start] + share * (y[end] - y[start])
    return numpy.where((left >= 0) & (exact | (right <= last)), found, numpy.inf)
