"""What a run took of its machine, as its result tells it. What nothing has measured is None, never 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webapp.sweeps.measures import reading

if TYPE_CHECKING:
    from webapp.sweeps.rows import Row

SECONDS_PER_HOUR, WATTS_PER_KILOWATT = 3600, 1000


def number(row: Row, path: str) -> float | None:
    """A measured number of the result; a 0 is no measurement of anything that a run takes."""
    value = reading.at(row.result or {}, path)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def stored_bytes(row: Row) -> int | None:
    """Of the saved model or adapter; a run that made a model smaller tells it beside the dense one's."""
    found = number(row, "stored_bytes") or number(row, "bytes.stored")
    return None if found is None else int(found)


def gpus(row: Row, sensor: str) -> list[float]:
    """The mean of a sensor of every GPU that told it, by GPU."""
    names = sorted(name for name in row.metrics if name.startswith("system/gpu") and name.endswith(f"_{sensor}"))
    return [mean for name in names if (mean := row.metrics[name].mean) is not None]


def energy_kwh(row: Row) -> float | None:
    """Mean power of all GPUs that it saw together, times its wall time."""
    watts, seconds = gpus(row, "power_watts"), number(row, "wall_time_s")
    return sum(watts) * seconds / SECONDS_PER_HOUR / WATTS_PER_KILOWATT if watts and seconds else None
