"""AutoPEFT: which adapters are worth their parameters, as a front of score against trainable parameters.

A multi-objective search over the adapter's modules, sizes and placement (Zhou et al. 2024; code: 200 iterations, the
first 100 at random, Bayesian; here by Optuna's NSGA-II or another sampler). The front is what no other trial beats in
both; the hypervolume after each trial says how the search went on. Trainable parameters are counted exactly by each
run, and stand in the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from gpu_jobs import registry as jobs
from webapp.accounts.errors import Invalid
from webapp.sweeps import planning, registry
from webapp.sweeps.measures import outcomes, pareto, reading
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/2301.12132"
ROOM = 1.1  # the reference point lies so many times the worst value away


class Knobs(Base):
    name: Literal["autopeft"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    goal: Literal["minimize", "maximize"] = "minimize"
    methods: list[planning.MethodName] = Field(["lora"], min_length=1, max_length=50, description="Adapters.")
    targets: list[str] = Field(
        ["attention", "mlp", "all"], description="Where they may sit, for those that can choose."
    )
    low: int = Field(1, ge=1, description="Smallest rank.")
    high: int = Field(64, ge=1, le=4096, description="Largest rank.")
    sampler: planning.MethodName = Field("nsga2", description="nsga2, tpe, gp or random.")
    trials: int = Field(200, ge=1, le=100_000, description="Points that are tried.")


class Point(BaseModel):
    sweep: int
    trial: int
    trainable: int
    score: float
    on_front: bool
    params: dict[str, Any]


class Volume(BaseModel):
    trials: int
    hypervolume: float = Field(description="Of score and log10 trainable parameters.")


class Result(outcomes.Result):
    front: list[Point] = []
    volumes: list[Volume] = []
    points: list[Point] = []
    metric: str = ""


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    planning.need_methods("methods", knobs.methods, "adapters")
    if knobs.sampler not in registry.entries("search.samplers"):
        raise Invalid.field("sampler", f"There is no sampler {knobs.sampler!r}.")
    fields = {name: jobs.methods("adapters")[name].knobs.model_fields for name in knobs.methods}
    ranked = [name for name in knobs.methods if "rank" in fields[name]]
    placed = [name for name in knobs.methods if "targets" in fields[name]]
    space: dict[str, Any] = {"method.name": {"choices": knobs.methods}}
    if ranked:
        space["method.rank"] = {"low": knobs.low, "high": knobs.high, "log": True, "when": {"method.name": ranked}}
    if placed and knobs.targets:
        space["method.targets"] = {"choices": knobs.targets, "when": {"method.name": placed}}
    spec = planning.changed({**base, "kind": "finetune"}, {"method": {"name": knobs.methods[0]}})
    asked = planning.definition(spec, {"name": knobs.sampler}, space, knobs.metric, knobs.goal, trials=knobs.trials)
    asked["objective"].append({"metric": "parameters/trainable", "goal": "minimize"})
    return [planning.Planned("Score against parameters", asked, {})]


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen, tuned = outcomes.outcomes(rows), reading.tuning(rows)
    sign = 1.0 if knobs.goal == "minimize" else -1.0
    trials = reading.grouped(tuned, lambda row: (row.sweep, row.trial))
    points = [point for key, of in sorted(trials.items()) if (point := _point(knobs, key, of)) is not None]
    losses = [(sign * point.score, math.log10(max(1, point.trainable))) for point in points]
    on_front = pareto.front([(sign * point.score, float(point.trainable)) for point in points])
    marked = [p.model_copy(update={"on_front": flag}) for p, flag in zip(points, on_front, strict=True)]
    volumes = pareto.hypervolumes(losses, _reference(losses)) if losses else []
    return Result(
        outcomes=seen,
        notes=outcomes.told(seen),
        front=sorted((p for p in marked if p.on_front), key=lambda p: (p.trainable, p.sweep, p.trial)),
        volumes=[Volume(trials=count, hypervolume=value) for count, value in enumerate(volumes, 1)],
        points=marked,
        metric=knobs.metric,
    )


def _point(knobs: Knobs, key: tuple[int, int], rows: list[Row]) -> Point | None:
    score = reading.mean(reading.scores(rows, knobs.metric))
    trainable = next((count for row in rows if (count := reading.parameters(row, "trainable")) is not None), None)
    if score is None or trainable is None:
        return None
    return Point(sweep=key[0], trial=key[1], trainable=trainable, score=score, on_front=False, params=rows[0].params)


def _reference(losses: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """A little beyond the worst of each, so that the extremes count as well."""
    worst = [max(values) for values in zip(*losses, strict=True)]
    spans = [high - min(values) for high, values in zip(worst, zip(*losses, strict=True), strict=True)]
    first, second = (high + (ROOM - 1) * (span or abs(high) or 1.0) for high, span in zip(worst, spans, strict=True))
    return first, second
