"""Merging at scale: merge methods over model size, number of experts and quality of the base, normalised to experts.

    normalised(task) = score of the merged model on the task / score of the expert of that task

Held-in tasks are those of the experts, held-out ones are new to all (Yadav et al. 2024, "What Matters for Model Merging
at Scale?": averaging, task arithmetic, DARE, TIES; 1B to 64B, up to 8 experts). Every cell of the grid is kept, also
one without a score, and each stores what it was divided by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Literal

from pydantic import BaseModel, Field

from webapp.sweeps import planning
from webapp.sweeps.measures import outcomes, reading
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/2410.03617"
KIND = "merge"
EXPERT = "expert"


class Knobs(Base):
    name: Literal["merge_grid"]
    methods: list[planning.MethodName] = Field(
        ["average", "task_arithmetic", "dare", "ties"], min_length=1, description="Merge methods."
    )
    experts: list[int] = Field([2, 4, 8], min_length=1, description="How many experts are merged.")
    sizes: list[planning.SizeName] = Field([], max_length=20, description=planning.SIZES)
    qualities: list[str] = Field([""], min_length=1, description="Names of the bases: pretrained, instruction-tuned.")
    held_in: list[str] = Field(["eval/accuracy"], min_length=1, description="Metrics of the experts' tasks.")
    held_out: list[str] = Field([], description="Metrics of tasks that no expert was trained on.")
    count: planning.Path = Field("first", description="The path of the number (or list) of experts.")


class Cell(BaseModel):
    method: str
    size: str
    experts: int
    quality: str
    task: str
    held_in: bool
    score: float | None
    normaliser: float | None = Field(description="The expert's score on this task.")
    normalised: float | None
    runs: int


class Result(outcomes.Result):
    cells: list[Cell] = []


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    planning.need_kind(KIND)
    planning.need_base(base, KIND)
    planning.need_methods("methods", knobs.methods, "mergers")
    planned = []
    for size, quality in product(knobs.sizes or [""], knobs.qualities):
        spec = {**planning.sized(base, size), "kind": KIND}
        space: dict[str, Sequence[Any]] = {"method.name": knobs.methods, knobs.count: knobs.experts}
        asked = planning.grid_of(spec, space, knobs.held_in[0], "maximize")
        planned.append(planning.Planned(f"Merge {size} {quality}".strip(), asked, {"size": size, "quality": quality}))
    return planned


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    """Rows of sweeps labelled part: expert are the experts themselves; the best of each task is its normaliser."""
    seen, tuned = outcomes.outcomes(rows), reading.tuning(rows)
    experts = [row for row in tuned if reading.label(labels, row, "part") == EXPERT]
    merged = [row for row in tuned if reading.label(labels, row, "part") != EXPERT]
    places = reading.grouped(merged, lambda row: _place(knobs, row, labels))
    wanted = set(
        product(knobs.methods, knobs.sizes or {place[1] for place in places} or [""], knobs.experts, knobs.qualities)
    )
    tasks = [(task, True) for task in knobs.held_in] + [(task, False) for task in knobs.held_out]
    cells = [
        _cell(place, task, is_in, places.get(place, []), _normaliser(task, place, experts, labels))
        for place in sorted(wanted | set(places))
        for task, is_in in tasks
        if places
    ]
    lacking = sorted({cell.task for cell in cells if cell.normaliser is None and cell.held_in})
    notes = [f"No expert's score on {', '.join(lacking)}: nothing to normalise by."] if lacking else []
    return Result(outcomes=seen, notes=[*outcomes.told(seen), *notes], cells=cells)


Place = tuple[str, str, int, str]


def _place(knobs: Knobs, row: Row, labels: Labels) -> Place:
    count = reading.setting(row, knobs.count)
    number = len(count) if isinstance(count, list) else int(count or 0)
    method = str(reading.setting(row, "method.name"))
    return method, reading.label(labels, row, "size"), number, reading.label(labels, row, "quality")


def _normaliser(task: str, place: Place, experts: list[Row], labels: Labels) -> float | None:
    mine = [
        row
        for row in experts
        if (reading.label(labels, row, "size"), reading.label(labels, row, "quality")) == (place[1], place[3])
    ]
    return max(reading.scores(mine, task), default=None)


def _cell(place: Place, task: str, is_in: bool, rows: list[Row], normaliser: float | None) -> Cell:
    score = reading.mean(reading.scores(rows, task))
    method, size, experts, quality = place
    return Cell(
        method=method, size=size, experts=experts, quality=quality, task=task, held_in=is_in, score=score,
        normaliser=normaliser, normalised=score / normaliser if score is not None and normaliser else None,
        runs=len(rows),
    )  # fmt: skip
