"""What a job will need, before it is queued."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Body, Router

from gpu_jobs import cost, spec
from gpu_jobs.spec import JobSpec
from webapp.accounts.models import User
from webapp.api.auth import user_of
from webapp.api.errors import Invalid
from webapp.api.schemas.methods import PlanOutput, TimeForecast
from webapp.api.schemas.runs import SPEC_EXAMPLE
from webapp.api.wire import refuse_non_finite
from webapp.runs.forecast import forecast
from webapp.runs.queries import visible
from webapp.runs.specs import checked

router = Router()


@router.post("/plan", response=PlanOutput)
def plan_job(
    request: HttpRequest, body: Annotated[dict[str, Any], Body(description="A job spec.", examples=[SPEC_EXAMPLE])]
) -> PlanOutput:
    """Parameters, memory, FLOPs and time that the spec in the body will need; nothing is queued."""
    refuse_non_finite(body)
    parsed = checked(body)
    plan = cost.plan(parsed, _facts(user_of(request), parsed))
    time = forecast(plan.flops["total"], plan.flops["per_step"])
    return PlanOutput(**plan.model_dump(), time=TimeForecast(**time._asdict()))


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
