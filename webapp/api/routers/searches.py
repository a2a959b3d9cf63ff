"""Before a sweep is started: what it would do and cost, a space to begin with, and which samplers and stoppers are."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Body, Router

from gpu_jobs import registry as jobs
from webapp.api.access import project_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Invalid
from webapp.api.routers.sweeps import definition_of
from webapp.api.schemas.runs import SPEC_EXAMPLE
from webapp.api.schemas.searches import EntryList, ExamplePoint, PlanInput, SpaceOutput, SweepPlan
from webapp.api.schemas.sweeps import ForecastOutput
from webapp.api.sweep_serializers import entry_output
from webapp.api.wire import refuse_non_finite
from webapp.sweeps import budget, checking, registry
from webapp.sweeps.definition import Definition
from webapp.sweeps.errors import Exhausted
from webapp.sweeps.search.asking import Point, ask
from webapp.sweeps.specs import spec_of

router = Router()
EXAMPLES = 3
Spec = Annotated[dict[str, Any], Body(description="A job spec.", examples=[SPEC_EXAMPLE])]


@router.post("/sweeps/plan", response=SweepPlan)
def plan_sweep(request: HttpRequest, body: PlanInput) -> SweepPlan:
    """What the body of POST /sweeps would cost, and its first points; nothing is queued. The same errors."""
    user = user_of(request)
    project = project_or_404(user, body.project) if body.project else None
    checked = checking.checked(definition_of(body), user, project)
    examples = [ExamplePoint(params=point.params, spec=_spec(checked, point)) for point in _points(checked)]
    return SweepPlan(forecast=ForecastOutput(**budget.forecast_of(checked)._asdict()), examples=examples)


@router.post("/sweeps/suggestions", response=SpaceOutput)
def suggest_space(request: HttpRequest, body: Spec) -> SpaceOutput:
    """A space from the knobs of the spec's methods, or of a bare `{"kind": ..}`: bounds, choices, scales. Change it."""
    from webapp.sweeps.search.suggestions import suggested

    refuse_non_finite(body)
    kind, kinds = body.get("kind"), jobs.kinds()
    if not (isinstance(kind, str) and kind in kinds):
        raise Invalid([{"loc": ["kind"], "msg": f"kind must be one of {', '.join(kinds)}, not {kind!r}."}])
    return SpaceOutput(space=suggested(body))


@router.get("/samplers", response=EntryList)
def list_samplers(request: HttpRequest) -> EntryList:
    """What may choose the points, with the JSON schema of its knobs."""
    return EntryList(items=[entry_output(entry) for entry in registry.entries("search.samplers").values()])


@router.get("/stoppers", response=EntryList)
def list_stoppers(request: HttpRequest) -> EntryList:
    """What may stop a trial early, with the JSON schema of its knobs."""
    return EntryList(items=[entry_output(entry) for entry in registry.entries("stoppers").values()])


def _points(checked: Definition) -> list[Point]:
    try:
        return ask(checked.search, checked.objective, [], min(EXAMPLES, checked.trials))
    except Exhausted as error:
        raise Invalid([{"loc": ["search"], "msg": str(error)}]) from None


def _spec(checked: Definition, point: Point) -> dict[str, Any]:
    return spec_of(checked, point.params, checked.seeds.first, steps=point.steps)
