"""Scaling fit: a law through runs or a table, with intervals, warnings and predictions; nothing is trained.

The result (`run.result`); a number that can't be told is null, and every key is always there:

    {"law": {"name": "chinchilla", "title": "Chinchilla", "knobs": {...}, "target": "loss",
             "variables": {"N": "parameters", "D": "tokens"}, "free": ["E", ...], "fixed": {}},
     "parameters": {"E": 1.817, "A": 477.8, ...},       # free and fixed
     "derived": {"a": 0.51, "b": 0.49, "G": ...},       # numbers made of them; {} where the law has none
     "intervals": {"alpha": {"low": .., "high": .., "se": .., "median": .., "identified": true}, ...},
                                                        # free and derived; null without a bootstrap
     "profiles": null | {"alpha": {"low": .., "high": .., "flat": false, "values": [...], "statistic": [...],
                  "threshold": 3.9}, ...},          # of exponents, at bootstrap.level; low or high is null where no
                                                        # value there is ruled out; null of laws of optima
     "objective": {"name": "huber_log", "delta": 0.001, "value": 0.00101827, "points": 240},   # a sum over points
     "outliers": {"rule": "kept where loss < its value number 5 from the top", "dropped": 5, "incomplete": 0},
     "minima": [{"value": .., "relative": 0.0, "parameters": {...}}, ...],     # best first; all within 1 % of it
     "warnings": [{"code": "not_identified", "message": "..."}],
                    # not_identified, several_minima, pole, extrapolation, holdout_missed, few_points, bootstrap_failed
     "predictions": [{"at": {"N": 1e9, "D": 2e10}, "value": .., "band": [low, high], "interval": [low, high],
                      "extrapolation": 3.2}],           # band: of the curve; interval: of one new measurement
     "holdout": null | {"rule": "the 1 rows with the largest C", "points": [{"at": {...}, "run": 12|null,
                        "measured": .., "predicted": .., "band": .., "interval": .., "relative_error": 0.007,
                        "inside": true}], "mean_relative_error": .., "max_relative_error": .., "inside": true},
     "frontier": null | [{"compute": 1e21, "N": .., "D": .., "loss": .., "N_interval": .., "D_interval": ..,
                          "loss_band": ..}],            # of the budgets in spec.frontier; laws with an optimum only
     "points": {"source": "table", "used": 240, "held_out": 0, "columns": {"N": [...], "D": [...], "loss": [...]},
                "rows": [0, 1, ...], "runs": [...] | null},     # the fitted ones; rows: their place in the source
     "residuals": {"scale": "log"|"value", "values": [...], "predicted": [...]},    # in the order of points.columns
     "statistics": {"r2": .., "rmse": .., "rmse_log": ..},
     "bootstrap": null | {"resamples": 1000, "unit": "row", "units": 240, "seed": 0, "level": 0.95, "failed": 0},
     "reduced": null | {"columns": {...}},              # isoflop, envelope: the optima that the law goes through
     "then": null | {...},                             # the chained fit: law, parameters, intervals, objective, minima,
                                                        # warnings, predictions, holdout, points, residuals, statistics
     "fit": {"starts": 4500, "polished": 50, "seconds": ..}, "wall_time_s": ..}

`band` and `interval` are [low, high], or null without a bootstrap. Artifact `fit.json`: {"spec": ..., "result": ...,
"draws": {"E": [...], ...}}, one entry a resample, null for one that failed. The metric at step 0 is `fit/objective`;
with a holdout also `holdout/relative_error`, its mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gpu_jobs import registry
from gpu_jobs.context import Context
from gpu_jobs.events import Event
from gpu_jobs.points import Bootstrap, Holdout, HuberLog, Objective, PointSource
from gpu_jobs.spec import SEED, JobSpec, knob

if TYPE_CHECKING:
    from gpu_jobs.cost import Plan

    LawKnobs: TypeAlias = Any
else:
    LawKnobs = registry.union("laws")


class Chained(BaseModel):
    """A second law, fitted to the measured target of the first and then put behind it: loss -> error of tasks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    law: LawKnobs = Field(description="It reads the first law's target.")
    objective: Objective = Field(HuberLog(), description="What is minimised.")
    points: PointSource | None = Field(None, description="Empty: the points of the first law.")


class Spec(JobSpec):
    kind: Literal["scaling_fit"]
    law: LawKnobs = knob(..., "The formula that is fitted.", "Law")
    points: PointSource = knob(..., "What it is fitted to.", "Points")
    objective: Objective = knob(HuberLog(), "What is minimised, always as a sum over the points.", "Law")
    holdout: Holdout | None = knob(None, "Rows that are foreseen instead of fitted.", "Points")
    bootstrap: Bootstrap = knob(Bootstrap(), "Where the intervals come from.", "Law")
    predict: list[dict[str, float]] = knob([], "Points to foresee, like N and D.", "Predictions", max_length=1000)
    frontier: list[float] = knob([], "Budgets in FLOPs: the best N and D for each.", "Predictions", max_length=1000)
    then: Chained | None = knob(None, "A second law behind the first.", "Law", advanced=True)
    few_points: Literal["refuse", "warn"] = knob(
        "refuse", "What happens with fewer points than parameters + 2.", "Law", advanced=True
    )
    polish: int = knob(50, "The best starts, which are followed to their minimum.", "Law", ge=1, le=500, advanced=True)
    seed: int = SEED

    @model_validator(mode="after")
    def _predictions_fit(self) -> Self:
        for index, point in enumerate(self.predict):
            if missing := [name for name in self.law.variables if name not in point]:
                raise ValueError(f"predict.{index}: law {self.law.name!r} reads {missing[0]}, which is not there")
        if self.frontier and not hasattr(registry.method_of(self.law).module, "optimum"):
            raise ValueError(f"frontier: law {self.law.name!r} has no best N and D for a budget")
        if any(not budget > 0 for budget in self.frontier):
            raise ValueError(f"frontier: budgets must be positive, not {min(self.frontier)}")
        if self.then and self.law.target not in self.then.law.variables:
            raise ValueError(f"then.law must read {self.law.target}, which the first law explains")
        return self

    def plan(self, base: Mapping[str, Any]) -> Plan:
        """Nothing is trained and no GPU is used."""
        from gpu_jobs.cost import Plan

        nothing: dict[str, int | None] = dict.fromkeys(("weights", "gradients", "optimizer", "activations", "total"), 0)
        flops: dict[str, int | str | None] = {"total": None, "per_step": None, "formula": "none: a fit on the CPU"}
        return Plan(parameters={"total": len(self.law.free), "trainable": 0}, memory=nothing, flops=flops, tokens=0)


def run(spec: Spec, context: Context) -> Iterator[Event]:
    """Says the fit; the points as fitted, the result and every draw are kept in `fit.json`."""
    from gpu_jobs.engine.laws.job import fit

    return fit(spec, context)
