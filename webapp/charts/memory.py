"""The memory that a run was planned to need against what it took, as two stacked bars."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db.models import Max

from webapp.charts import theme
from webapp.charts.theme import Json
from webapp.runs.models import PhaseMark, Run

PARTS = {"weights": "--series-1", "gradients": "--series-4", "optimizer": "--series-3", "activations": "--series-7"}
UNITS = [("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)]
NEAR = 2.0  # the device's memory is drawn when it is less than so many times the longest bar


class MemoryData(NamedTuple):
    """Bytes. `planned` by part; `phases` the measured peak of each phase; either may be empty."""

    planned: dict[str, int]
    phases: dict[str, int]
    device: str
    device_bytes: int | None

    @property
    def peak(self) -> int:
        return max(self.phases.values(), default=0)

    @property
    def longest(self) -> int:
        return max(sum(self.planned.values()), self.peak)


def data(run: Run) -> MemoryData:
    """From the plan among the run's facts and from its result, or while it has none from the phases it has left."""
    planned = _mapping(_mapping(run.facts.get("plan")).get("memory"))
    measured = _mapping(_mapping(run.result).get("memory"))
    phases = measured.get("phases") or _left_phases(run)
    if not phases and measured.get("peak_bytes"):
        phases = {"run": measured["peak_bytes"]}
    return MemoryData(
        planned={part: int(planned[part]) for part in PARTS if planned.get(part)},
        phases={name: int(peak) for name, peak in phases.items() if peak},
        device=str(measured.get("device") or ""),
        device_bytes=measured.get("device_bytes"),
    )


def figure(data: MemoryData) -> Json:
    """No trace where nothing is known."""
    unit, size = next((unit for unit in UNITS if data.longest >= unit[1]), UNITS[-1])
    traces = [_bar(part, "planned", held / size, PARTS[part], unit) for part, held in data.planned.items()]
    if data.phases:
        phases = ", ".join(f"{theme.plain(name)} {peak / size:.3g}" for name, peak in data.phases.items())
        traces.append(_bar("peak", "measured", data.peak / size, "--ink-3", unit, f"measured peak ({phases})"))
    return {
        "data": traces,
        "layout": theme.layout(
            unit,
            barmode="stack",
            showlegend=True,
            hovermode="closest",
            margin={"l": 74, "r": 16, "t": 28, "b": 36},
            xaxis={"rangemode": "tozero"},
            yaxis={"autorange": "reversed", "showgrid": False},
            **_limit(data, size),
        ),
    }


def _bar(name: str, row: str, length: float, colour: str, unit: str, told: str = "") -> Json:
    hover = f"{told or name} %{{x:.3g}} {unit}<extra></extra>"
    return {
        "type": "bar", "orientation": "h", "name": name, "y": [row], "x": [length], "width": 0.45,
        "marker": {"color": colour}, "hovertemplate": hover,
    }  # fmt: skip


def _limit(data: MemoryData, size: int) -> Json:
    """The device's memory as a vertical, where that is not far out of sight."""
    if not data.device_bytes or data.device_bytes > NEAR * data.longest:
        return {}
    at = data.device_bytes / size
    words = theme.label(data.device or "device", at, 1, yref="paper", xanchor="right", yanchor="bottom")
    return {"shapes": [theme.vertical(at, "--bad", "dash")], "annotations": [words]}


def _left_phases(run: Run) -> dict[str, int]:
    """The peak of each phase that is over, the highest of all attempts."""
    found = PhaseMark.objects.filter(attempt__run=run, peak_memory_bytes__gt=0).order_by("name")
    return dict(found.values_list("name").annotate(peak=Max("peak_memory_bytes")))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
