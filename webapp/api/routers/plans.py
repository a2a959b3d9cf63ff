"""What a job will need, before it is queued."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Body, Query, Router

from gpu_jobs import cost, spec
from gpu_jobs.fitting import fitting
from gpu_jobs.spec import JobSpec
from webapp.accounts.models import User
from webapp.api.auth import user_of
from webapp.api.errors import Invalid
from webapp.api.schemas.methods import FitList, FitOutput, PlanOutput, TimeForecast
from webapp.api.schemas.runs import SPEC_EXAMPLE
from webapp.api.wire import refuse_non_finite
from webapp.runs.forecast import forecast
from webapp.runs.queries import device_sizes, visible
from webapp.runs.specs import checked, planned

router = Router()


@router.post("/plan", response=PlanOutput)
def plan_job(
    request: HttpRequest, body: Annotated[dict[str, Any], Body(description="A job spec.", examples=[SPEC_EXAMPLE])]
) -> PlanOutput:
    """Parameters, memory, FLOPs and time that the spec in the body will need; nothing is queued."""
    refuse_non_finite(body)
    parsed = checked(body)
    plan = planned(parsed, _facts(user_of(request), parsed))
    time = forecast(plan.flops["total"], plan.flops["per_step"])
    return PlanOutput(**plan.model_dump(), time=TimeForecast(**time._asdict()))


@router.post("/plan/methods", response=FitList)
def plan_methods(
    request: HttpRequest,
    body: Annotated[dict[str, Any], Body(description="A job spec of a kind that trains.", examples=[SPEC_EXAMPLE])],
    device_bytes: Annotated[
        int | None, Query(ge=1, description="Empty: the largest device of a living worker.")
    ] = None,
) -> FitList:
    """What fits into a device: the spec in the body with every method, at its defaults. Nothing is queued."""
    refuse_non_finite(body)
    parsed = checked(body)
    if not isinstance(parsed, spec.Training):
        raise Invalid([{"loc": ["kind"], "msg": f"A {parsed.kind} job trains nothing: choose pretrain or finetune."}])
    room = device_bytes or max((device.bytes for device in device_sizes()), default=None)
    if room is None:
        raise Invalid([{"loc": ["device_bytes"], "msg": "No worker is alive: say how many bytes the device has."}])
    config = cost.config_of(parsed, _facts(user_of(request), parsed))
    found = fitting(parsed, config, room, bf16=parsed.precision != "fp32")
    return FitList(device_bytes=room, items=[FitOutput(**asdict(fit)) for fit in found])


def _facts(user: User, parsed: JobSpec) -> dict[str, dict[str, Any]]:
    """What is known of the runs that the spec builds on. Raises Invalid for one that is not there to be read."""
    facts = {}
    for reference in spec.references(parsed):
        kind, _, number = reference.partition(":")
        if kind != "run":
            continue
        run = visible(user).filter(pk=int(number)).first()
        if run is None:
            raise Invalid([{"loc": [reference], "msg": f"There is no run {number} that you can read."}])
        if run.facts.get("model", {}).get("config"):
            facts[reference] = run.facts
    return facts
