"""Three regimes of pruning: where temperature of training and density of the pruned model put it.

    I: a barrier lies between two pruned and retrained copies        II-A: connected, outputs differ        II-B: alike

Temperature is what heats training (fewer epochs, smaller batches, larger rho of SAM), density the share of weights
kept. Connectivity is (L(0) + L(1)) / 2 - L(t*) on the line between two seeds' models, 0 for a net with itself and
negative at a barrier; similarity is CKA of their outputs, 1 for a net with itself (Zhou et al. 2023; code: epochs 10 to
160, batch 16 to 512, rho .1 to .8, density .95 to .2, PreResNet-20 on CIFAR-10). Where the regimes part is read off the
diagram in the paper, so both thresholds are knobs. One density shows no regime: several are mandatory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from webapp.sweeps import planning
from webapp.sweeps.measures import landscape, outcomes, reading
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/2305.18383"
KIND = "prune"


class Knobs(Base):
    name: Literal["three_regime"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    goal: Literal["minimize", "maximize"] = "minimize"
    temperature: planning.Path = Field("steps", description="What heats the training: steps, batch_size, ...")
    temperatures: list[str] = Field(
        ["100", "200", "400", "800"], min_length=2, max_length=50, description="Its values, each as typed in a spec."
    )
    density: planning.Path = Field("density", description="The path of the share of weights that is kept.")
    densities: list[float] = Field([0.8, 0.6, 0.4, 0.2], max_length=50, description="Several: one shows no regime.")
    connectivity: str = Field("prune/connectivity", max_length=200, description="The metric of the path's barrier.")
    similarity: str = Field("prune/similarity", max_length=200, description="The metric of the outputs' CKA.")
    barrier: float = Field(0.05, ge=0, description="A connectivity below minus this is regime I.")
    alike: float = Field(0.9, gt=0, le=1, description="A similarity from this on is regime II-B.")
    seeds: int = Field(2, ge=2, le=20, description="Two models are compared, so two at least.")

    @field_validator("densities")
    @classmethod
    def _several(cls, densities: list[float]) -> list[float]:
        if len(set(densities)) < 2 or not all(0 < density <= 1 for density in densities):
            raise ValueError(f"densities must be two or more different shares in (0, 1]: {densities}")
        return densities


class Cell(BaseModel):
    temperature: float
    density: float
    score: float | None
    connectivity: float | None
    similarity: float | None
    regime: Literal["I", "II-A", "II-B"] | None
    seeds: int


class Result(outcomes.Result):
    cells: list[Cell] = []
    temperature: str = ""


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    planning.need_kind(KIND)
    heats = [planning.value_of(value) for value in knobs.temperatures]
    space = {knobs.temperature: heats, knobs.density: knobs.densities}
    asked = planning.grid_of({**base, "kind": KIND}, space, knobs.metric, knobs.goal, seeds=knobs.seeds)
    return [planning.Planned("Density and temperature", asked, {})]


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen = outcomes.outcomes(rows)
    placed = [(place, row) for row in reading.tuning(rows) if (place := _place(knobs, row)) is not None]
    cells: dict[tuple[float, float], list[Row]] = {}
    for place, row in placed:
        cells.setdefault(place, []).append(row)
    notes = outcomes.told(seen)
    if cells and len({density for _, density in cells}) < 2:
        notes.append("All trials have one density: regimes only show over several.")
    return Result(
        outcomes=seen,
        notes=notes,
        cells=[_cell(knobs, *place, of) for place, of in sorted(cells.items())],
        temperature=knobs.temperature,
    )


def _place(knobs: Knobs, row: Row) -> tuple[float, float] | None:
    heat, density = reading.setting(row, knobs.temperature), reading.setting(row, knobs.density)
    return (float(heat), float(density)) if heat is not None and density is not None else None


def _cell(knobs: Knobs, temperature: float, density: float, rows: list[Row]) -> Cell:
    connected = reading.mean(reading.scores(rows, knobs.connectivity))
    similar = reading.mean(reading.scores(rows, knobs.similarity))
    known = connected is not None and similar is not None
    found: Any = landscape.regime(connected, similar, barrier=knobs.barrier, alike=knobs.alike) if known else None  # type: ignore[arg-type]
    values = reading.scores(rows, knobs.metric)
    return Cell(
        temperature=temperature, density=density, score=reading.mean(values), connectivity=connected,
        similarity=similar, regime=found, seeds=len(values),
    )  # fmt: skip
