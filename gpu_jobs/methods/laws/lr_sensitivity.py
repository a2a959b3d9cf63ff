"""LR sensitivity: what a wrong learning rate costs on average, by size.

    S = mean over the swept rates of min(loss, initial_loss) - l*         l* = the least loss of the sweep
    S(N) = c N^a

(Wortsman et al. 2023, Small-scale proxies; S is their definition, from their sweep 3e-4 to 3e-1. They plot S by size;
that its trend is a power law is a choice of this module.) A run that diverged counts as `initial_loss`, the loss at
initialisation: give its loss as inf. An empty loss is a missing run, and is dropped. Runs with one rate are averaged
first, so seeds do not weigh more. A sweep counts where it has 2 rates, and its S is above 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from gpu_jobs.law import LawKnobs, Parameter
from gpu_jobs.methods.laws.power import power_grid
from gpu_jobs.reductions import once, only

PAPER = "https://arxiv.org/abs/2309.14322"
NEEDS = ("N", "lr", "loss")
INFINITE = ("loss",)


class Knobs(LawKnobs):
    name: Literal["lr_sensitivity"]
    initial_loss: float = Field(
        gt=0, le=1e6, description="Loss at initialisation: about ln of the number of tokens in the vocabulary."
    )
    lowest: float = Field(0.0, ge=0, description="Rates below are left out.", json_schema_extra={"advanced": True})
    highest: float = Field(1e6, gt=0, description="Rates above are left out.", json_schema_extra={"advanced": True})

    @model_validator(mode="after")
    def _range_is_one(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError(f"lowest must be below highest: {self.lowest} >= {self.highest}")
        return self


def parameters(knobs: Knobs) -> list[Parameter]:
    return [Parameter("c", "Coefficient.", log=True), Parameter("a", "Exponent of N.", exponent_of="N")]


def variables(knobs: Knobs) -> dict[str, str]:
    return {"N": "parameters"}


def target(knobs: Knobs) -> str:
    return "sensitivity"


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points) in the loss's unit"""
    return params["c"] * variables["N"] ** params["a"]


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    grid = power_grid(variables["N"], target, offset=False)
    return {"c": grid["c"], "a": [-power for power in grid["a"]]}


def reduce(knobs: Knobs, columns: Mapping[str, Any]) -> dict[str, Any]:
    """N, sensitivity, best_lr and loss (the least) of each size. Raises DataError where none can be told."""
    said = "lr_sensitivity: no size has losses that differ at 2 learning rates: sweep more of them"
    return only(*reduce_all(knobs, columns, once(columns)), said)


def reduce_all(knobs: Knobs, columns: Mapping[str, Any], counts: Any) -> tuple[dict[str, Any], Any]:
    """The same of resamples, (resamples, sizes) each, and whether the size counts."""
    import numpy

    rate, loss = columns["lr"], numpy.minimum(columns["loss"], knobs.initial_loss)
    swept = (rate >= knobs.lowest) & (rate <= knobs.highest)
    sizes, found = numpy.unique(columns["N"]), []
    for size in sizes:
        rows = numpy.flatnonzero(swept & (columns["N"] == size))
        rates, groups = numpy.unique(rate[rows], return_inverse=True)
        member = numpy.eye(len(rates))[groups]  # (rows, rates)
        found.append(_sweep(rates, counts[:, rows] @ member, (counts[:, rows] * loss[rows]) @ member))
    sensitivity, best, least, present = (numpy.stack(side, axis=1) for side in zip(*found, strict=True))
    N = numpy.broadcast_to(sizes, present.shape)
    return {"N": N, "sensitivity": sensitivity, "best_lr": best, "loss": least}, present


def _sweep(rates: Any, seen: Any, total: Any) -> tuple[Any, Any, Any, Any]:
    """Sensitivity, best rate, least loss, and whether they can be told, of how often each rate was `seen`."""
    import numpy

    if not len(rates):
        nothing = numpy.full(len(seen), numpy.nan)
        return nothing, nothing, nothing, numpy.zeros(len(seen), bool)
    with numpy.errstate(all="ignore"):
        means = numpy.where(seen > 0, total / seen, numpy.inf)
        number, least = (seen > 0).sum(1), means.min(1)
        mean = numpy.where(seen > 0, means, 0.0).sum(1) / number
        sensitivity = mean - least
    return sensitivity, rates[means.argmin(1)], least, (number >= 2) & (sensitivity > 0)
