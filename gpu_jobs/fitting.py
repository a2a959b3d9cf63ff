"""Which methods a device has room for: the plan of a spec with each of them, at its defaults. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from gpu_jobs import cost, registry
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Config
from gpu_jobs.spec import Training, parse

FAMILIES = ("strategies", "adapters")


@dataclass(frozen=True)
class Fit:
    """A method on the spec's model. `reason` says why it can't be planned; the other values are then None."""

    family: str
    name: str
    title: str
    trainable: int | None = None
    memory_bytes: int | None = None
    fits: bool | None = None
    reason: str = ""


def fitting(spec: Training, config: Config | None, device_bytes: int, *, bf16: bool) -> list[Fit]:
    """Every method that a kind's spec may name: those that fit by trained values, then the rest."""
    found = [_fit(method, spec, config, device_bytes, bf16=bf16) for method in _choices(spec)]
    return sorted(found, key=lambda fit: (not fit.fits, fit.reason != "", fit.trainable or 0, fit.name))


def _choices(spec: Training) -> list[registry.Method]:
    families = FAMILIES if spec.kind != "pretrain" else FAMILIES[:1]
    return [method for family in families for method in registry.methods(family).values()]


def _fit(method: registry.Method, spec: Training, config: Config | None, device_bytes: int, *, bf16: bool) -> Fit:
    about: dict[str, Any] = {"family": method.family, "name": method.name, "title": method.title}
    asked: Mapping[str, Any] = spec.model_dump(mode="json") | {"method": {"name": method.name}}
    try:
        parsed = parse(asked)
        assert isinstance(parsed, Training)
        plan = cost.plan_for(parsed, config, bf16=bf16)
    except ValidationError as error:
        return Fit(**about, reason=str(error.errors()[0]["msg"]).removeprefix("Value error, "))
    except MethodError as error:
        return Fit(**about, reason=str(error))
    total = plan.memory["total"]
    if total is None:
        return Fit(**about, reason="the model is known only once it is loaded")
    return Fit(**about, trainable=plan.parameters["trainable"], memory_bytes=total, fits=total <= device_bytes)
