"""The quantities that quality is held against: what a run trains, stores, takes and does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from webapp.sweeps.measures import pruned, reading, spending
from webapp.sweeps.rows import Row

Unit = Literal["count", "share", "bytes", "seconds", "kwh", "rate"]


class Measure(NamedTuple):
    """`title` names an axis, with its unit. `read` gives None where nothing was measured; of a measure that is not
    `usual`, most runs have none."""

    name: str
    label: str
    title: str
    unit: Unit
    read: Callable[[Row], float | None]
    help: str = ""
    is_more_better: bool = False
    is_usual: bool = True


def _trainable(row: Row) -> float | None:
    return reading.parameters(row, "trainable")


def _share(row: Row) -> float | None:
    trainable, total = reading.parameters(row, "trainable"), reading.parameters(row, "total")
    return trainable / total if total and trainable is not None else None


def _flops(row: Row) -> float | None:
    return spending.number(row, "flops.total") or spending.number(row, "flops")


def _of_result(path: str) -> Callable[[Row], float | None]:
    return lambda row: spending.number(row, path)


def _steps(row: Row) -> float | None:
    return float(row.step) or None


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("trainable_share", "Trainable", "trainable share of all parameters", "share", _share),
        Measure("trainable", "Parameters", "trainable parameters", "count", _trainable),
        Measure("stored_bytes", "Stored", "stored bytes", "bytes", spending.stored_bytes,
                "The saved model, or the adapter alone."),
        Measure("memory_bytes", "Peak memory", "peak memory, bytes", "bytes", _of_result("memory.peak_bytes"),
                "The highest of all phases."),
        Measure("wall_time_s", "Time", "wall time, s", "seconds", _of_result("wall_time_s"),
                "From loading the model to saving it, all attempts."),
        Measure("energy_kwh", "Energy", "energy, kWh", "kwh", spending.energy_kwh,
                "Mean power of the GPUs times the wall time; none without a sensor."),
        Measure("flops", "FLOPs", "training FLOPs", "count", _flops, "By the formula that the run's facts name."),
        Measure("sparsity", "Sparsity", "sparsity, share of weights removed", "share", pruned.sparsity,
                "Measured on the saved file, of the layers that were pruned.", is_more_better=True, is_usual=False),
        Measure("nonzero_parameters", "Parameters left", "parameters that are not 0", "count", pruned.nonzero,
                "Of the saved model.", is_usual=False),
        Measure("tokens_per_second", "Tokens/s", "tokens per second", "rate", _of_result("speed.tokens_per_second"),
                is_more_better=True),
    )
}  # fmt: skip
BUDGETS = {
    "steps": Measure("steps", "Steps", "steps", "count", _steps),
    "tokens": Measure("tokens", "Tokens", "tokens", "count", _of_result("tokens")),
    **{name: MEASURES[name] for name in ("flops", "wall_time_s", "energy_kwh", "memory_bytes", "trainable")},
}
