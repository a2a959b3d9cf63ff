"""What a spec will need, before it is queued: parameters, memory and FLOPs by count, time from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpu_jobs import cost
from gpu_jobs import spec as specs
from gpu_jobs.fitting import Fit, fitting
from webapp.accounts.models import User
from webapp.runs.forecast import forecast as forecast_time
from webapp.runs.queries import DeviceSize, device_sizes, visible
from webapp.runs.specs import checked, planned

PARTS = {"weights": 1, "gradients": 4, "optimizer": 3, "activations": 7}  # with the colour of each


@dataclass(frozen=True)
class Part:
    """A part of the memory; `colour` is the number of its series colour, `start` and `width` are in percent of all."""

    name: str
    bytes: int
    colour: int
    start: float
    width: float


@dataclass(frozen=True)
class Forecast:
    """`seconds` is None until a run has been measured; `measured` says on what and how often."""

    plan: cost.Plan
    parts: list[Part]
    seconds: float | None
    measured: str

    @property
    def share(self) -> float | None:
        total, trainable = self.plan.parameters["total"], self.plan.parameters["trainable"]
        return trainable / total if total and trainable is not None else None

    @property
    def compute(self) -> str:
        flops = self.plan.flops["total"]
        return _power(flops) if isinstance(flops, int | float) else "–"  # noqa: RUF001 - the dash of an empty cell


def forecast(values: Mapping[str, Any], user: User) -> Forecast:
    """Raises Invalid for a wrong spec, and TypeError for a kind that has no plan."""
    spec = checked(values)
    plan = planned(spec, _facts(spec, user))
    seconds, measured = _time(plan)
    return Forecast(plan, _parts(plan.memory), seconds, measured)


@dataclass(frozen=True)
class Fits:
    """Every method on one device. `sizes` are the devices there are to choose from."""

    device_bytes: int
    sizes: list[DeviceSize]
    methods: list[Fit]

    @property
    def fitting(self) -> int:
        return sum(bool(fit.fits) for fit in self.methods)


def fits(values: Mapping[str, Any], user: User, device_bytes: int | None) -> Fits | None:
    """What fits into the chosen device, else the largest one there is; None where there is none, or nothing is trained.

    Raises Invalid for a wrong spec.
    """
    spec, sizes = checked(values), device_sizes()
    room = device_bytes or max((size.bytes for size in sizes), default=None)
    if room is None or not isinstance(spec, specs.Training):
        return None
    found = fitting(spec, cost.config_of(spec, _facts(spec, user)), room, bf16=spec.precision != "fp32")
    return Fits(room, sizes, found)


def _parts(memory: Mapping[str, int | None]) -> list[Part]:
    known = [(name, colour, memory.get(name) or 0) for name, colour in PARTS.items()]
    total = sum(size for _, _, size in known)
    parts, start = [], 0.0
    for name, colour, size in known if total else ():
        width = round(100 * size / total, 3)
        parts.append(Part(name, size, colour, round(start, 3), width))
        start += width
    return parts


def _facts(spec: specs.JobSpec, user: User) -> dict[str, dict[str, Any]]:
    """The facts of the runs that the spec starts from, as far as the person may see them."""
    names = [name for name in specs.references(spec) if name.startswith("run:")]
    runs = visible(user).filter(pk__in=[int(name.partition(":")[2]) for name in names])
    return {f"run:{run.pk}": run.facts for run in runs if run.facts.get("model", {}).get("config")}


def _time(plan: cost.Plan) -> tuple[float | None, str]:
    """Seconds at the rate of measured runs, and a phrase that says so."""
    seconds, rate, runs = forecast_time(plan.flops["total"], plan.flops["per_step"])
    return seconds, f"at {_power(rate)} FLOP/s, median of {runs} measured" if rate else ""


def _power(value: float) -> str:
    return f"{value:.2g}".replace("e+", "e")
