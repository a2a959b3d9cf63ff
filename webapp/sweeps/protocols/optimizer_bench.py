"""Optimizer bench: optimizers that are each tuned, compared by their final loss and by the tokens that it took.

Every optimizer is swept coordinate by coordinate around the base run's values at the smallest size; at larger sizes
only the scale-sensitive knobs are tuned again. Ranks in the middle of training and at its end are both told, with every
pair that changed places: a rate that still has to fall makes the middle misleading. The speed-up over the first
optimizer is the tokens at which its fitted law L(D) = E + A D^-b has the other's final loss, over the tokens that the
other took, so the first one needs runs of several lengths (Wen et al. 2025, "Fantastic Pretraining Optimizers": ten
optimizers; 1.4x at 0.1B falls to 1.1x at 1.2B). Coordinate descent here is one pass, not repeated until nothing gains.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from gpu_jobs import registry as jobs
from webapp.accounts.errors import Invalid
from webapp.sweeps import planning
from webapp.sweeps.measures import outcomes, power_law, reading
from webapp.sweeps.measures.ranking import ranks
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/2509.02046"


class Knobs(Base):
    name: Literal["optimizer_bench"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    optimizers: list[planning.MethodName] = Field(
        ["adamw"], min_length=1, max_length=30, description="The first is what the others are compared with."
    )
    coordinates: list[planning.MethodName] = Field(
        ["lr", "weight_decay"], min_length=1, max_length=20, description="Knobs that are swept, where there are such."
    )
    sensitive: list[planning.MethodName] = Field(["lr"], description="Those tuned again at larger sizes.")
    factors: list[float] = Field([0.25, 0.5, 1, 2, 4], min_length=1, max_length=20, description="Times the base value.")
    sizes: list[planning.SizeName] = Field([], max_length=20, description=planning.SIZES)
    lengths: list[float] = Field(
        [1, 2, 4], min_length=1, max_length=10, description="Steps, times the base run's: several give a law."
    )
    middle: float = Field(0.5, gt=0, lt=1, description="Where the middle of training is looked at.")
    seeds: int = Field(1, ge=1, le=20, description="Seeds of every point.")


class Line(BaseModel):
    size: str
    steps: int
    optimizer: str
    loss: float = Field(description="Final loss of its best configuration.")
    middle_loss: float | None
    rank: int
    middle_rank: int | None
    speedup: float | None = Field(description="Tokens of the first optimizer over its own, at equal loss.")
    tokens: int
    params: dict[str, Any]


class Flip(BaseModel):
    size: str
    steps: int
    ahead_in_the_middle: str
    ahead_at_the_end: str


class Law(BaseModel):
    size: str
    optimizer: str
    floor: float = Field(description="E.")
    factor: float = Field(description="A.")
    exponent: float = Field(description="b.")


class Result(outcomes.Result):
    lines: list[Line] = []
    flips: list[Flip] = []
    laws: list[Law] = []


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    planning.need_methods("optimizers", knobs.optimizers, "optimizers")
    planned = []
    for place, size in enumerate(knobs.sizes or [""]):
        for optimizer in knobs.optimizers:
            spec = planning.changed(planning.sized(base, size), {"optimizer": _start(base, optimizer)})
            swept = [name for name in knobs.coordinates if place == 0 or name in knobs.sensitive]
            for coordinate in _known(optimizer, swept):
                planned += _coordinate(knobs, spec, size, optimizer, coordinate)
    if not planned:
        raise Invalid.field("coordinates", "None of these knobs is one of any of these optimizers.")
    return planned


def _start(base: Mapping[str, Any], optimizer: str) -> planning.Json:
    """The base run's knobs for its own optimizer, defaults for any other."""
    given = base.get("optimizer") or {}
    return dict(given) if given.get("name") == optimizer else {"name": optimizer}


def _known(optimizer: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if name in jobs.methods("optimizers")[optimizer].knobs.model_fields]


def _coordinate(
    knobs: Knobs, spec: planning.Json, size: str, optimizer: str, coordinate: str
) -> list[planning.Planned]:
    """One sweep a length, so that every length has its own best value."""
    field = jobs.methods("optimizers")[optimizer].knobs.model_fields[coordinate]
    start = float(spec["optimizer"].get(coordinate, field.default))
    values = sorted({float(f"{start * factor:.4g}") for factor in knobs.factors})
    found = []
    for length in sorted(set(knobs.lengths)):
        steps = max(1, round(spec.get("steps", 1000) * length))
        asked = planning.grid_of(
            {**spec, "steps": steps}, {f"optimizer.{coordinate}": values}, knobs.metric, "minimize", seeds=knobs.seeds
        )
        labels = {"size": size, "optimizer": optimizer, "coordinate": coordinate}
        found.append(
            planning.Planned(f"{optimizer} {coordinate} {size} {steps} steps".replace("  ", " "), asked, labels)
        )
    return found


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen, tuned = outcomes.outcomes(rows), reading.tuning(rows)
    places = reading.grouped(tuned, lambda row: (reading.label(labels, row, "size"), _steps(row), _optimizer(row)))
    best = {place: found for place, of in places.items() if (found := _best(knobs, of)) is not None}
    laws = _laws(best)
    lines = [
        _line(knobs, place, found, series, laws.get((place[0], knobs.optimizers[0]))) for place, found in best.items()
    ]
    ranked = [line for some in _together(lines).values() for line in _ranked(some)]
    return Result(
        outcomes=seen,
        notes=[*outcomes.told(seen), *_lawless(knobs, best, laws)],
        lines=sorted(ranked, key=lambda line: (line.size, line.steps, line.rank, line.optimizer)),
        flips=[flip for some in _together(ranked).values() for flip in _flips(some)],
        laws=[
            Law(size=size, optimizer=name, floor=law.floor, factor=law.factor, exponent=law.exponent)
            for (size, name), law in sorted(laws.items())
        ],
    )


Place = tuple[str, int, str]  # size, steps, optimizer
Best = tuple[float, list[Row]]


def _together(lines: list[Line]) -> dict[tuple[str, int], list[Line]]:
    groups: dict[tuple[str, int], list[Line]] = {}
    for line in sorted(lines, key=lambda line: (line.size, line.steps, line.optimizer)):
        groups.setdefault((line.size, line.steps), []).append(line)
    return groups


def _steps(row: Row) -> int:
    return int(reading.setting(row, "steps") or 0)


def _optimizer(row: Row) -> str:
    return str(reading.setting(row, "optimizer.name"))


def _best(knobs: Knobs, rows: list[Row]) -> Best | None:
    """The configuration with the least mean final loss over its seeds."""
    trials = reading.grouped(rows, lambda row: (row.sweep, row.trial))
    means = {
        key: value
        for key, of in trials.items()
        if (value := reading.mean(reading.scores(of, knobs.metric))) is not None
    }
    if not means:
        return None
    key = min(means, key=lambda one: (means[one], one))
    return means[key], trials[key]


def _tokens(row: Row) -> int:
    parts = (reading.setting(row, path) or 1 for path in ("steps", "batch_size", "sequence_length"))
    return math.prod(int(part) for part in parts)


def _laws(best: Mapping[Place, Best]) -> dict[tuple[str, str], power_law.PowerLaw]:
    """Where an optimizer has two lengths or more; with two the law has no floor."""
    found: dict[tuple[str, str], power_law.PowerLaw] = {}
    groups: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for (size, _, optimizer), (loss, rows) in sorted(best.items(), key=lambda item: item[0]):
        groups.setdefault((size, optimizer), []).append((_tokens(rows[0]), loss))
    for key, points in groups.items():
        law = power_law.fit(*zip(*points, strict=True)) if len(points) > 1 else None
        if law is not None:
            found[key] = law
    return found


def _line(knobs: Knobs, place: Place, best: Best, series: Series, law: power_law.PowerLaw | None) -> Line:
    size, steps, optimizer = place
    loss, rows = best
    tokens = _tokens(rows[0])
    needed = law.inverse(loss) if law is not None and optimizer != knobs.optimizers[0] else None
    return Line(
        size=size, steps=steps, optimizer=optimizer, loss=loss, middle_loss=_middle(knobs, rows, steps, series), rank=0,
        middle_rank=None, speedup=None if needed is None else needed / tokens, tokens=tokens, params=rows[0].params,
    )  # fmt: skip


def _middle(knobs: Knobs, rows: list[Row], steps: int, series: Series) -> float | None:
    """The mean over seeds of the last evaluation at or before the middle."""
    found = []
    for row in rows:
        points = series(row.run, knobs.metric)
        place = int(np.searchsorted(points.steps, knobs.middle * steps, side="right")) - 1
        if place >= 0 and math.isfinite(points.values[place]):
            found.append(float(points.values[place]))
    return reading.mean(found)


def _ranked(lines: list[Line]) -> list[Line]:
    ends, middles = ranks([line.loss for line in lines]), ranks([line.middle_loss for line in lines])
    placed = zip(lines, ends, middles, strict=True)
    return [line.model_copy(update={"rank": end, "middle_rank": middle}) for line, end, middle in placed]


def _flips(lines: list[Line]) -> list[Flip]:
    found = []
    for one, other in combinations(lines, 2):
        if one.middle_loss is None or other.middle_loss is None:
            continue
        if (one.middle_loss - other.middle_loss) * (one.loss - other.loss) < 0:
            early, late = (one, other) if one.middle_loss < other.middle_loss else (other, one)
            found.append(
                Flip(
                    size=one.size, steps=one.steps, ahead_in_the_middle=early.optimizer, ahead_at_the_end=late.optimizer
                )
            )
    return found


def _lawless(knobs: Knobs, best: Mapping[Place, Best], laws: Mapping[tuple[str, str], Any]) -> list[str]:
    first = knobs.optimizers[0]
    without = sorted({size or "the base size" for size, _, _ in best if (size, first) not in laws})
    if not without or len({optimizer for _, _, optimizer in best}) < 2:
        return []
    return [f"{first} has one length at {', '.join(without)}: no law, so no speed-up is told."]
