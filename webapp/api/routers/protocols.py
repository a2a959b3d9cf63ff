"""Protocols: what there is, what one would make, start one, and what its study shows."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router, Status

from webapp.accounts.models import Role
from webapp.api.access import project_or_404, sweep_or_404
from webapp.api.auth import user_of
from webapp.api.errors import NotFound
from webapp.api.schemas.protocols import (
    AnalysisOutput,
    PlannedSweep,
    ProtocolList,
    ProtocolOutput,
    ProtocolPlanInput,
    ProtocolPlanOutput,
    StudyInput,
    StudyOutput,
    StudySweep,
)
from webapp.api.wire import refuse_non_finite
from webapp.sweeps import registry, studies
from webapp.sweeps.definition import Definition
from webapp.sweeps.planning import Planned
from webapp.sweeps.registry import Entry
from webapp.sweeps.studies import Study

router = Router()


@router.get("/protocols", response=ProtocolList)
def list_protocols(request: HttpRequest) -> ProtocolList:
    """Every protocol with the JSON schema of its knobs."""
    return ProtocolList(items=[_protocol(entry) for entry in registry.entries("protocols").values()])


@router.post("/protocols/{name}/plan", response=ProtocolPlanOutput)
def plan_study(request: HttpRequest, name: str, body: ProtocolPlanInput) -> ProtocolPlanOutput:
    """The sweeps that it would make of a base spec; nothing is written."""
    entry, user = _entry(name), user_of(request)
    project = project_or_404(user, body.project) if body.project else None
    _refuse_non_finite(body)
    plans = studies.planned(entry, studies.knobs_of(entry, body.knobs), body.spec, user, project)
    sweeps = [planned_sweep(one) for one in plans]
    return ProtocolPlanOutput(
        sweeps=sweeps, trials=sum(one.trials for one in sweeps), runs=sum(one.runs for one in sweeps)
    )


@router.post("/protocols/{name}", response={201: StudyOutput})
def start_study(request: HttpRequest, name: str, body: StudyInput) -> Status[StudyOutput]:
    """Starts all its sweeps, or none. For editors."""
    entry, user = _entry(name), user_of(request)
    project = project_or_404(user, body.project, Role.EDITOR)
    _refuse_non_finite(body)
    about: dict[str, Any] = body.model_dump(include={"name", "tags", "priority", "queue"})
    knobs = studies.knobs_of(entry, body.knobs)
    study = studies.start(entry=entry, project=project, user=user, knobs=knobs, spec=body.spec, **about)
    return Status(201, StudyOutput(**_study(study)))


@router.get("/sweeps/{int:sweep_id}/protocol", response=AnalysisOutput)
def analyse_study(request: HttpRequest, sweep_id: int, name: str = "") -> AnalysisOutput:
    """What the study of this sweep shows, over all its sweeps; with `name`, this sweep alone under that protocol."""
    sweep = sweep_or_404(user_of(request), sweep_id)
    study = studies.taken_as(sweep, _entry(name)) if name else studies.study_of(sweep)
    if study is None:
        raise NotFound(f"Sweep {sweep_id} belongs to no study of a protocol.")
    return AnalysisOutput(**_study(study), result=studies.analysed(study).model_dump(mode="json"))


@router.post("/sweeps/{int:sweep_id}/protocol", response={201: StudyOutput})
def continue_study(request: HttpRequest, sweep_id: int) -> Status[StudyOutput]:
    """Makes the sweeps that its protocol measures of the finished runs, like pairs of pruned models. For editors."""
    user = user_of(request)
    study = studies.study_of(sweep_or_404(user, sweep_id, Role.EDITOR))
    if study is None:
        raise NotFound(f"Sweep {sweep_id} belongs to no study of a protocol.")
    studies.go_on(study, user)
    again = studies.study_of(study.sweeps[0])
    return Status(201, StudyOutput(**_study(again or study)))


def planned_sweep(one: Planned) -> PlannedSweep:
    checked = Definition.model_validate(one.definition)
    return PlannedSweep(
        name=one.name,
        trials=checked.trials,
        runs=checked.runs,
        labels=one.labels,
        definition=checked.model_dump(mode="json"),
        notes=list(one.notes),
    )


def _entry(name: str) -> Entry:
    entry = registry.entries("protocols").get(name)
    if entry is None:
        raise NotFound(f"There is no protocol {name!r}.")
    return entry


def _refuse_non_finite(body: ProtocolPlanInput | StudyInput) -> None:
    refuse_non_finite(body.spec, ("spec",))
    refuse_non_finite(body.knobs, ("knobs",))


def _protocol(entry: Entry) -> ProtocolOutput:
    reason = studies.unavailable(entry)
    return ProtocolOutput(
        name=entry.name,
        title=entry.title,
        summary=entry.summary,
        doc=entry.doc,
        paper=entry.paper,
        available=not reason,
        unavailable=reason,
        knobs=entry.knobs.model_json_schema(),
    )


def _study(study: Study) -> dict[str, Any]:
    return {
        "protocol": study.entry.name,
        "group": study.group,
        "knobs": study.knobs.model_dump(mode="json"),
        "sweeps": [
            StudySweep(
                id=sweep.pk,
                name=sweep.name,
                status=sweep.status,
                labels=studies.protocol_of(sweep).get("labels") or {},
                url=reverse("api:get_sweep", kwargs={"sweep_id": sweep.pk}),
            )
            for sweep in study.sweeps
        ],
    }
