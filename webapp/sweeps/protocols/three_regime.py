"""Three regimes of pruning: where temperature of training and density of the pruned model put it.

    I: a barrier lies between two pruned and retrained copies        II-A: connected, outputs differ        II-B: alike

Temperature is what heats training (fewer steps, smaller batches, larger rates or rho of SAM), density the share of
weights kept. Connectivity is (L(0) + L(1)) / 2 - L(t*) on the line between two seeds' models, 0 for a net with itself
and negative at a barrier; similarity is CKA of their outputs, 1 for a net with itself (Zhou et al. 2023; code: epochs
10 to 160, batch 16 to 512, rho .1 to .8, density .95 to .2, PreResNet-20 on CIFAR-10, both copies retrained from one
pruned model with two seeds, 11 points on the line). For a given density the paper goes from I to II-A by more
temperature and from II-A to II-B by less (its figure 1); that is the advice here.

The paper heats the training of the dense model. So does the temperature `model.run`, its values the numbers of runs
that were trained at other temperatures; `retrain.steps` and the like heat the retraining instead. Where the regimes
part is read off the diagram in the paper, so both thresholds are knobs. One density shows no regime: several are
mandatory. Connectivity and similarity are measured when the models are there, by evaluations with which one goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from webapp.accounts.errors import Invalid
from webapp.runs.states import Status
from webapp.sweeps import planning, pruning
from webapp.sweeps.measures import landscape, outcomes, pruned, reading
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/2305.18383"
KIND = pruning.KIND
BASE = pruning.RETRAINED
FOLLOW_UP = "Measure pairs of seeds"
PAIRS = "pairs"
CONNECTIVITY, SIMILARITY = "pair/connectivity", "pair/similarity"
ONE, OTHER = "model.run", "against.run"
MORE_IS_HOTTER = ("lr", "rho")  # the last steps of such paths; of others, like steps, less is
RUNS = "model.run"  # whose values are runs, so that there is neither more nor less of it
KEPT = ("data", "task", "packing", "sequence_length", "batch_size", "eval_batches", "precision")  # for the evaluations
Regime = Literal["I", "II-A", "II-B"]


class Knobs(Base):
    name: Literal["three_regime"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    goal: Literal["minimize", "maximize"] = "minimize"
    temperature: planning.Path = Field(
        "retrain.steps", description="What heats the training: retrain.steps, retrain.batch_size, model.run, ..."
    )
    temperatures: list[str] = Field(
        ["25", "50", "100", "200"], min_length=2, max_length=50, description="Its values, each as typed in a spec."
    )
    hotter: Literal["auto", "less", "more"] = Field(
        "auto", description="Which way is hotter. auto: more of a learning rate or rho, less of anything else."
    )
    densities: list[float] = Field([0.8, 0.6, 0.4, 0.2], max_length=50, description="Several: one shows no regime.")
    barrier: float = Field(0.05, ge=0, description="A connectivity below minus this is regime I.")
    alike: float = Field(0.9, gt=0, le=1, description="A similarity from this on is regime II-B.")
    seeds: int = Field(2, ge=2, le=20, description="Each is compared with the next, so two at least.")

    @field_validator("densities")
    @classmethod
    def _several(cls, densities: list[float]) -> list[float]:
        if len(set(densities)) < 2 or not all(0 < density <= 1 for density in densities):
            raise ValueError(f"densities must be two or more different shares in (0, 1]: {densities}")
        return densities

    @property
    def is_more_hotter(self) -> bool:
        by_name = self.temperature.rpartition(".")[2] in MORE_IS_HOTTER
        return by_name if self.hotter == "auto" else self.hotter == "more"


class Cell(BaseModel):
    temperature: float
    density: float
    score: float | None
    connectivity: float | None = Field(description="The mean over pairs of seeds; negative at a barrier.")
    similarity: float | None
    regime: Regime | None
    advice: str = Field(description="Which way the paper turns the temperature in this regime.")
    seeds: int
    pairs: int


class Result(outcomes.Result):
    cells: list[Cell] = []
    temperature: str = ""


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    spec = pruning.base_of(base)
    if not spec.get(pruning.RETRAIN):
        raise Invalid.field("temperature", "The copies are retrained: set retrain in the base job.")
    sparsities = [round(1 - density, 12) for density in knobs.densities]
    heats = [planning.value_of(value) for value in knobs.temperatures]
    space = {knobs.temperature: heats, pruned.TARGET: sparsities}
    asked = planning.grid_of(spec, space, knobs.metric, knobs.goal, seeds=knobs.seeds)
    note = f"When its runs have ended, go on with: {FOLLOW_UP}."
    return [planning.Planned("Density and temperature", asked, {}, [note])]


def follow_up(knobs: Knobs, rows: Sequence[Row], labels: Labels) -> list[planning.Planned]:
    """Evaluations of each seed's model against the next one's in its cell, but for those that are there already."""
    models, known = _split(rows, labels)
    done = {(row.params.get(ONE), row.params.get(OTHER)) for row in known}
    cells = reading.grouped([row for row in models if row.status == Status.SUCCEEDED], lambda row: _place(knobs, row))
    pairs = [pair for place, of in sorted(cells.items(), key=lambda item: item[0] or (0.0, 0.0)) if place is not None
             for pair in _neighbours(of) if pair not in done]  # fmt: skip
    if not pairs:
        return []
    sampler, space = pruning.listed([{ONE: one, OTHER: other} for one, other in pairs])
    asked = planning.definition(_evaluation(models[0].spec, *pairs[0]), sampler, space, CONNECTIVITY, "maximize",
                                trials=len(pairs))  # fmt: skip
    return [planning.Planned("Pairs of seeds", asked, {"part": PAIRS})]


def _neighbours(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Each with the next by seed."""
    found = sorted(rows, key=lambda row: (row.seed, row.run))
    return [(one.run, other.run) for one, other in pairwise(found)]


def _evaluation(spec: Mapping[str, Any], one: int, other: int) -> planning.Json:
    """On the samples that the pruned models themselves were judged on."""
    own = {name: spec[name] for name in KEPT if spec.get(name) is not None}
    return {
        "kind": "evaluate",
        **own,
        "model": {"source": "run", "run": one},
        "against": {"source": "run", "run": other},
    }


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen = outcomes.outcomes(rows)
    models, pairs = _split(rows, labels)
    cells = {place: of for place, of in reading.grouped(models, lambda row: _place(knobs, row)).items() if place}
    places = {row.run: place for place, of in cells.items() for row in of}
    measured = reading.grouped(pairs, lambda row: places.get(row.params.get(ONE, 0)))
    notes = outcomes.told(seen)
    if cells and len({density for _, density in cells}) < 2:
        notes.append("All trials have one density: regimes only show over several.")
    if cells and not pairs:
        notes.append(f"No pair of seeds is measured yet, so no regime is known: {FOLLOW_UP} when the runs have ended.")
    return Result(
        outcomes=seen,
        notes=notes,
        cells=[_cell(knobs, *place, of, measured.get(place, [])) for place, of in sorted(cells.items())],
        temperature=knobs.temperature,
    )


def _split(rows: Sequence[Row], labels: Labels) -> tuple[list[Row], list[Row]]:
    """The pruned models, and the evaluations of pairs of them."""
    found = reading.tuning(rows)
    pairs = [row for row in found if reading.label(labels, row, "part") == PAIRS]
    return [row for row in found if reading.label(labels, row, "part") != PAIRS], pairs


def _place(knobs: Knobs, row: Row) -> tuple[float, float] | None:
    heat, sparsity = reading.setting(row, knobs.temperature), pruned.target(row)
    is_known = isinstance(heat, int | float) and sparsity is not None
    return (float(heat), round(1 - sparsity, 12)) if is_known and sparsity is not None else None


def _cell(knobs: Knobs, temperature: float, density: float, rows: list[Row], pairs: list[Row]) -> Cell:
    connected, similar = (reading.mean(reading.scores(pairs, metric)) for metric in (CONNECTIVITY, SIMILARITY))
    known = connected is not None and similar is not None
    found: Any = landscape.regime(connected, similar, barrier=knobs.barrier, alike=knobs.alike) if known else None  # type: ignore[arg-type]
    values = reading.scores(rows, knobs.metric)
    return Cell(
        temperature=temperature, density=density, score=reading.mean(values), connectivity=connected,
        similarity=similar, regime=found, advice=_advice(knobs, found), seeds=len(values),
        pairs=len(reading.scores(pairs, CONNECTIVITY)),
    )  # fmt: skip


def _advice(knobs: Knobs, regime: Regime | None) -> str:
    more, less = ("more", "less") if knobs.is_more_hotter else ("less", "more")
    hotter, colder = (f": {way} {knobs.temperature}" if knobs.temperature != RUNS else "" for way in (more, less))
    told = {"I": f"heat it{hotter}", "II-A": f"cool it{colder}", "II-B": "leave the temperature"}
    return told[regime] if regime else ""
