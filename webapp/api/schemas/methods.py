"""Methods with their knobs, kinds with their specs, and the plan of a spec."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from webapp.api.schemas.common import Output


class MethodOutput(Output):
    family: str = Field(examples=["adapters"])
    name: str = Field(examples=["lora"])
    title: str
    summary: str
    paper: str | None = None
    url: str


class MethodList(Output):
    items: list[MethodOutput]
    next: str | None = None


class MethodDetail(MethodOutput):
    doc: str = Field(description="The equation, the paper and the equation's number.")
    knobs: dict[str, Any] = Field(description="JSON schema of the knobs: bounds, defaults, help, scale.")


class KindOutput(Output):
    name: str = Field(examples=["pretrain"])
    title: str
    spec: dict[str, Any] = Field(description="JSON schema of the kind's spec.")


class KindList(Output):
    items: list[KindOutput]
    next: str | None = None


class PlanParameters(Output):
    total: int | None
    trainable: int | None


class PlanFlops(Output):
    total: float | None
    per_step: float | None
    formula: str


class TimeForecast(Output):
    """FLOPs over the median FLOP/s of the finished runs whose steps are most alike in size."""

    seconds: float | None = Field(description="Null as long as nothing has been measured.")
    flops_per_second: float | None
    measured_runs: int


class PlanOutput(Output):
    """Null stands where only a worker can see the model (a folder of its own, or a hub)."""

    parameters: PlanParameters
    memory: dict[str, int | None] = Field(
        description="Bytes on one GPU: weights, gradients, optimizer, activations, total.",
        examples=[{"weights": 1000, "gradients": 1000, "optimizer": 2000, "activations": 4000, "total": 8000}],
    )
    flops: PlanFlops
    tokens: int | None = Field(description="That the training reads.")
    time: TimeForecast


class FitOutput(Output):
    """Null stands where the method can't be planned for this model; `reason` says why."""

    family: str
    name: str
    title: str
    trainable: int | None
    memory_bytes: int | None
    fits: bool | None
    reason: str


class FitList(Output):
    device_bytes: int
    items: list[FitOutput] = Field(description="Those that fit by trained values, then the rest.")
    next: str | None = None
