"""Signal and noise: can this benchmark tell these models apart, and does a small model decide like a large one.

    signal = max over pairs |m_j - m_k| / mean m        noise = std / mean over a model's last checkpoints
    SNR = signal / noise        decision accuracy = share of pairs that both sizes order alike

m is a model's mean over its last checkpoints (Heineman et al. 2025; the code's metrics.py). Noise here is each model's
own, averaged over models. The paper measures bits per byte instead of accuracy where it can, averages the last
checkpoints, and leaves out subtasks with a low ratio: every metric named here gets its own line, noisy ones marked.
Claim: 375 models, 30 benchmarks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from webapp.runs.states import Status
from webapp.sweeps import planning
from webapp.sweeps.measures import noise, outcomes, reading
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/2508.13144"


class Knobs(Base):
    name: Literal["snr"]
    metrics: list[str] = Field(["eval/loss"], min_length=1, max_length=50, description="One line each in the result.")
    vary: planning.Path = Field(
        "optimizer.weight_decay", description="What makes the models differ: a path of the spec."
    )
    values: list[str] = Field(["0", "0.01", "0.1"], min_length=2, max_length=100, description="Its values.")
    sizes: list[planning.SizeName] = Field([], max_length=20, description=planning.SIZES + " The last is the target.")
    checkpoints: int = Field(5, ge=2, le=100, description="Late evaluations that are averaged.")
    least: float = Field(1.0, ge=0, description="A lower ratio marks a metric as noisy.")


class Line(BaseModel):
    metric: str
    size: str
    models: int
    signal: float | None
    noise: float | None
    ratio: float | None
    noisy: bool = Field(description="The ratio is below the least that was asked for.")
    decision_accuracy: float | None = Field(description="Against the last size.")


class Result(outcomes.Result):
    lines: list[Line] = []


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    """Models that are evaluated often enough to have late checkpoints, one sweep a size."""
    space = {knobs.vary: [planning.value_of(value) for value in knobs.values]}
    steps = base.get("steps", 1000)
    every = max(1, min(base.get("eval_every", 100) or steps, steps // (2 * knobs.checkpoints)))
    planned = []
    for size in knobs.sizes or [""]:
        spec = {**planning.sized(base, size), "eval_every": every}
        asked = planning.grid_of(spec, space, knobs.metrics[0], "minimize")
        planned.append(planning.Planned(f"Signal and noise {size}".strip(), asked, {"size": size}))
    return planned


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen = outcomes.outcomes(rows)
    ended = [row for row in reading.tuning(rows) if row.status == Status.SUCCEEDED]
    order = {size: place for place, size in enumerate(knobs.sizes)}
    sizes = reading.grouped(ended, lambda row: reading.label(labels, row, "size"))
    ranked = sorted(sizes, key=lambda size: (order.get(size, len(order)), size))
    lines = []
    for metric in knobs.metrics:
        late = {size: _late(knobs, metric, sizes[size], series) for size in ranked}
        lines += [_line(knobs, metric, size, late[size], late[ranked[-1]]) for size in ranked]
    return Result(outcomes=seen, notes=outcomes.told(seen), lines=lines)


Late = dict[str, list[list[float]]]  # by model: the last checkpoints of each of its runs


def _late(knobs: Knobs, metric: str, rows: list[Row], series: Series) -> Late:
    found: Late = {}
    for row in rows:
        values = series(row.run, metric).values[-knobs.checkpoints :]
        if len(values) and np.isfinite(values).all():
            found.setdefault(repr(sorted(row.params.items())), []).append(values.tolist())
    return found


def _line(knobs: Knobs, metric: str, size: str, here: Late, target: Late) -> Line:
    means = {model: float(np.mean([np.mean(values) for values in runs])) for model, runs in here.items()}
    goals = {model: float(np.mean([np.mean(values) for values in runs])) for model, runs in target.items()}
    noises = [own for runs in here.values() for values in runs if (own := noise.noise(values)) is not None]
    strength, own = noise.signal(list(means.values())), reading.mean(noises)
    ratio = noise.ratio(strength, own)
    shared = sorted(set(means) & set(goals))
    agreed = noise.decision_accuracy([means[model] for model in shared], [goals[model] for model in shared])
    return Line(
        metric=metric, size=size, models=len(means), signal=strength, noise=own, ratio=ratio,
        noisy=ratio is not None and ratio < knobs.least, decision_accuracy=agreed,
    )  # fmt: skip
