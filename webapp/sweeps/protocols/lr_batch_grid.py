"""LR x batch grid: the loss over learning rate and batch size at a fixed number of tokens.

Every batch size trains on the same tokens D, so it has D / (batch x length) steps. The optimum of the grid is compared
with Step Law's prediction for N parameters and D tokens,

    lr = 1.79 N^-0.713 D^0.307        batch = 0.58 D^0.571 tokens

(Li et al. 2025; N without embeddings; fitted for AdamW and cosine to a fixed 1e-5). `gap` is how much worse a cell is
than the best one, relative: the paper's claim is a plateau around a single optimum. The law's constants are recalled,
not checked against its text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from webapp.sweeps import planning
from webapp.sweeps.measures import outcomes, reading
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/2503.04715"


class Knobs(Base):
    name: Literal["lr_batch_grid"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    low: float = Field(2e-4, gt=0, description="Lowest learning rate.", json_schema_extra={"log": True})
    high: float = Field(2e-2, gt=0, description="Highest learning rate.", json_schema_extra={"log": True})
    points: int = Field(5, ge=1, le=50, description="Learning rates.")
    batches: list[int] = Field([8, 16, 32, 64], min_length=1, max_length=30, description="Batch sizes, in samples.")
    tokens: int | None = Field(None, ge=1, description="That every run reads; empty: as many as the base run.")
    seeds: int = Field(1, ge=1, le=20, description="Seeds of every point.")


class Cell(BaseModel):
    lr: float
    batch: int
    tokens: int
    loss: float | None
    gap: float | None = Field(description="Relative to the best cell.")
    seeds: int


class Optimum(BaseModel):
    source: Literal["grid", "step law"]
    lr: float
    batch: float = Field(description="In samples.")
    loss: float | None = Field(description="Of the nearest cell that was trained.")


class Result(outcomes.Result):
    optima: list[Optimum] = []
    cells: list[Cell] = []


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    """One sweep a batch size, each with as many steps as the tokens ask for."""
    length = base.get("sequence_length", 256)
    tokens = knobs.tokens or base.get("steps", 1000) * base.get("batch_size", 16) * length
    space = {"optimizer.lr": planning.grid(knobs.low, knobs.high, knobs.points)}
    planned = []
    for batch in sorted(set(knobs.batches)):
        spec = {**base, "batch_size": batch, "steps": max(1, round(tokens / (batch * length)))}
        asked = planning.grid_of(spec, space, knobs.metric, "minimize", seeds=knobs.seeds)
        planned.append(planning.Planned(f"LR grid at batch {batch}", asked, {"batch": batch}))
    return planned


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen, tuned = outcomes.outcomes(rows), reading.tuning(rows)
    places = reading.grouped(tuned, lambda row: (_lr(row), int(reading.setting(row, "batch_size") or 0)))
    losses = {place: reading.scores(of, knobs.metric) for place, of in places.items()}
    means = {place: value for place, of in losses.items() if (value := reading.mean(of)) is not None}
    best = min(means.values(), default=None)
    cells = [
        Cell(
            lr=lr,
            batch=batch,
            tokens=_tokens(places[lr, batch][0]),
            loss=means.get((lr, batch)),
            gap=(means[lr, batch] - best) / abs(best) if best and (lr, batch) in means else None,
            seeds=len(losses[lr, batch]),
        )
        for lr, batch in sorted(places)
    ]
    return Result(outcomes=seen, notes=outcomes.told(seen), optima=_optima(tuned, means), cells=cells)


def _lr(row: Row) -> float:
    return float(reading.setting(row, "optimizer.lr"))


def _tokens(row: Row) -> int:
    parts = (reading.setting(row, path) or 0 for path in ("steps", "batch_size", "sequence_length"))
    return math.prod(int(part) for part in parts)


def _optima(rows: list[Row], means: Mapping[tuple[float, int], float]) -> list[Optimum]:
    if not means:
        return []
    lr, batch = min(means, key=lambda place: (means[place], place))
    found = [Optimum(source="grid", lr=lr, batch=batch, loss=means[lr, batch])]
    size = max((count for row in rows if (count := _without_embeddings(row))), default=None)
    length = int(reading.setting(rows[0], "sequence_length") or 0)
    if size and length:
        tokens = _tokens(rows[0])
        law = step_law(size, tokens)
        near = min(means, key=lambda place: (_distance(place, law[0], law[1] / length), place))
        found.append(Optimum(source="step law", lr=law[0], batch=law[1] / length, loss=means[near]))
    return found


def step_law(parameters: int, tokens: int) -> tuple[float, float]:
    """(learning rate, batch in tokens) that the law predicts."""
    return 1.79 * parameters**-0.713 * tokens**0.307, 0.58 * tokens**0.571


def _without_embeddings(row: Row) -> int | None:
    total, config = reading.parameters(row, "total"), reading.at(row.facts, "model.config")
    if total is None or not isinstance(config, Mapping):
        return total
    width = config.get("hidden_size") or config.get("n_embd") or 0
    return max(1, total - int(config.get("vocab_size") or 0) * int(width))


def _distance(place: tuple[float, int], lr: float, batch: float) -> float:
    return math.hypot(math.log(place[0] / lr), math.log(place[1] / batch))
