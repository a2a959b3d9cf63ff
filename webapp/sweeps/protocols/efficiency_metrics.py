"""Efficiency: what each run took of its machine and what its model weighs, by method and phase.

Memory utilisation (peak / device), compute utilisation (mean of the GPU's own percentage, and FLOP/s), latency (seconds
per step), throughput (tokens/s), energy (mean power x time) and compression rate (bytes of the reference model on disk
over its own), as EfficientLLM measures them (Yuan et al. 2025). What no sensor has told is none, never 0. A compression
rate comes from the bytes of saved files, and there is none without a reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from gpu_jobs import registry as jobs
from webapp.runs.states import Status
from webapp.sweeps import planning
from webapp.sweeps.measures import outcomes, reading, spending
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/2505.13840"


class Knobs(Base):
    name: Literal["efficiency_metrics"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    goal: Literal["minimize", "maximize"] = "minimize"
    methods: list[planning.MethodName] = Field(
        ["full", "lora"], min_length=1, max_length=50, description="Ways to train that are compared."
    )
    reference: planning.MethodName = Field("full", description="The method whose saved model is what others compress.")
    seeds: int = Field(1, ge=1, le=20, description="Seeds of every point.")


class Line(BaseModel):
    run: int
    method: str
    score: float | None
    memory_utilization: float | None = Field(description="Peak over the device's memory.")
    peak_memory_bytes: int | None
    compute_utilization: float | None = Field(description="Mean share of time that the GPU was busy.")
    flops_per_second: float | None
    seconds_per_step: float | None
    tokens_per_second: float | None
    energy_kwh: float | None
    stored_bytes: int | None
    compression: float | None = Field(description="The reference's bytes on disk over its own.")
    wall_time_s: float | None


class Phase(BaseModel):
    run: int
    method: str
    phase: str
    peak_memory_bytes: int


class Result(outcomes.Result):
    lines: list[Line] = []
    phases: list[Phase] = []


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    planning.need_methods("methods", knobs.methods, "adapters", "strategies")
    kind = "finetune" if set(knobs.methods) & set(jobs.methods("adapters")) else base.get("kind")
    spec = {**base, "kind": kind, "method": {"name": knobs.methods[0]}}
    asked = planning.grid_of(spec, {"method.name": knobs.methods}, knobs.metric, knobs.goal, seeds=knobs.seeds)
    return [planning.Planned("Efficiency of methods", asked, {})]


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen, ended = outcomes.outcomes(rows), [row for row in reading.ordered(rows) if row.status == Status.SUCCEEDED]
    stored = [bytes_ for row in ended if _method(row) == knobs.reference and (bytes_ := spending.stored_bytes(row))]
    reference = reading.mean(stored)
    lines = [_line(knobs, row, reference) for row in ended]
    notes = outcomes.told(seen)
    if ended and reference is None:
        notes.append(f"No run of {knobs.reference!r} has saved a model: there is no compression rate.")
    return Result(outcomes=seen, notes=notes, lines=lines, phases=[phase for row in ended for phase in _phases(row)])


def _method(row: Row) -> str:
    return str(reading.setting(row, "method.name") or row.spec.get("kind", ""))


def _line(knobs: Knobs, row: Row, reference: float | None) -> Line:
    seconds = spending.number(row, "wall_time_s")
    peak, device = spending.number(row, "memory.peak_bytes"), spending.number(row, "memory.device_bytes")
    flops, rate = spending.number(row, "flops.total"), spending.number(row, "speed.samples_per_second")
    stored = spending.stored_bytes(row)
    batch, busy = reading.setting(row, "batch_size"), _mean(row, "utilization_percent")
    return Line(
        run=row.run,
        method=_method(row),
        score=reading.score(row, knobs.metric),
        memory_utilization=peak / device if peak and device else None,
        peak_memory_bytes=int(peak) if peak else None,
        compute_utilization=busy / 100 if busy is not None else None,
        flops_per_second=flops / seconds if flops and seconds else None,
        seconds_per_step=batch / rate if batch and rate else None,
        tokens_per_second=spending.number(row, "speed.tokens_per_second"),
        energy_kwh=spending.energy_kwh(row),
        stored_bytes=stored,
        compression=reference / stored if reference and stored else None,
        wall_time_s=seconds,
    )


def _mean(row: Row, sensor: str) -> float | None:
    return reading.mean(spending.gpus(row, sensor))


def _phases(row: Row) -> list[Phase]:
    found = reading.at(row.result or {}, "memory.phases")
    peaks = found.items() if isinstance(found, Mapping) else ()
    return [Phase(run=row.run, method=_method(row), phase=str(n), peak_memory_bytes=int(p)) for n, p in peaks if p]
