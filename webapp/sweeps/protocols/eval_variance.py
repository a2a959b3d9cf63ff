"""Evaluation variance: how far a score moves when only the seed changes, and how steadily it improves in training.

Per metric over seeds: mean, standard deviation, bootstrap interval of the mean, mean / std; per run Kendall's tau of
the score and its step (monotonicity: 1 when every evaluation is better than the one before), averaged over seeds
(Madaan et al. 2024). Name a discrete metric (accuracy) and a continuous one (loss) to compare them. That monotonicity
is Kendall's tau is recalled, not checked against the text. Claim: completion-style MMLU varies less at ~7B.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from webapp.sweeps import planning
from webapp.sweeps.measures import noise, outcomes, reading
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/2406.10229"


class Knobs(Base):
    name: Literal["eval_variance"]
    metrics: list[str] = Field(["eval/loss"], min_length=1, max_length=50, description="Where less is better.")
    scores: list[str] = Field([], max_length=50, description="Metrics where more is better, like eval/accuracy.")
    seeds: int = Field(10, ge=3, le=100, description="Seeds of every point.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Of the interval.")


class Spread(BaseModel):
    sweep: int
    trial: int
    metric: str
    n: int
    mean: float | None
    std: float | None
    low: float | None = Field(description="Of the bootstrap interval of the mean.")
    high: float | None
    ratio: float | None = Field(description="Mean over standard deviation.")
    monotonicity: float | None = Field(description="Kendall's tau over training, mean over seeds.")


class Sample(BaseModel):
    sweep: int
    trial: int
    metric: str
    seed: int
    value: float


class Result(outcomes.Result):
    spreads: list[Spread] = []
    samples: list[Sample] = []


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    """The base run with every seed."""
    asked = planning.definition(
        base, {"name": "grid"}, {}, [*knobs.metrics, *knobs.scores][0], "minimize", trials=1, seeds=knobs.seeds
    )
    return [planning.Planned(f"{knobs.seeds} seeds", asked, {})]


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen = outcomes.outcomes(rows)
    trials = reading.grouped(reading.tuning(rows), lambda row: (row.sweep, row.trial))
    signs = [(metric, 1.0) for metric in knobs.metrics] + [(metric, -1.0) for metric in knobs.scores]
    return Result(
        outcomes=seen,
        notes=outcomes.told(seen),
        spreads=[_spread(knobs, where, of, *told, series) for where, of in trials.items() for told in signs],
        samples=[
            Sample(sweep=row.sweep, trial=row.trial, metric=metric, seed=row.seed, value=value)
            for of in trials.values()
            for metric, _ in signs
            for row in of
            if (value := reading.score(row, metric)) is not None
        ],
    )


def _spread(knobs: Knobs, where: tuple[int, int], rows: list[Row], metric: str, sign: float, series: Series) -> Spread:
    values = reading.scores(rows, metric)
    centre, width = reading.mean(values), reading.deviation(values)
    low, high = noise.bootstrap(values, knobs.confidence) or (None, None)
    steady = [tau for row in rows if (tau := _tau(series(row.run, metric).values, sign)) is not None]
    return Spread(
        sweep=where[0], trial=where[1], metric=metric, n=len(values), mean=centre, std=width, low=low, high=high,
        ratio=abs(centre) / width if centre is not None and width else None, monotonicity=reading.mean(steady),
    )  # fmt: skip


def _tau(values: np.ndarray[Any, Any], sign: float) -> float | None:
    return noise.monotonicity(values[np.isfinite(values)].tolist(), sign)
