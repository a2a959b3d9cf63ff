"""The protocols that there are, what each costs as it comes, and the studies that a project has made of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from gpu_jobs import registry as jobs
from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project
from webapp.pages.sweeps.segments import Segment, segments_of
from webapp.sweeps import budget, queries, registry, studies
from webapp.sweeps.definition import Definition
from webapp.sweeps.planning import Planned
from webapp.sweeps.registry import Entry
from webapp.sweeps.studies import Study

EXAMPLE: dict[str, Any] = {
    "kind": "pretrain",
    "model": {"source": "builtin", "name": "nano"},
    "data": {"source": "builtin", "name": "language-reference"},
}


def example(entry: Entry) -> dict[str, Any]:
    """A base spec that the protocol can plan with, where its kind of job is installed."""
    own = getattr(entry.module, "BASE", {})
    return {**EXAMPLE, **(own if own.get("kind") in jobs.kinds() else {})}


class Cost(NamedTuple):
    sweeps: int
    trials: int
    runs: int


class Row(NamedTuple):
    """`cost` with every knob as it comes; None where it can't be started here, and `unavailable` says why."""

    entry: Entry
    cost: Cost | None
    unavailable: str


class StudyRow(NamedTuple):
    study: Study
    trials: int
    done: int
    status: str
    segments: list[Segment]


def rows() -> list[Row]:
    return [_row(entry) for entry in registry.entries("protocols").values()]


def cost(planned: list[Planned]) -> Cost:
    """Trials, and runs with their tuning seeds and winners' test seeds."""
    checked = [Definition.model_validate(one.definition) for one in planned]
    return Cost(len(checked), sum(one.trials for one in checked), sum(one.runs for one in checked))


def gpu_hours(planned: list[Planned]) -> float | None:
    """From what runs of this size have taken; None as long as one of the sweeps has none to go by."""
    found = [budget.forecast_of(Definition.model_validate(one.definition)).gpu_hours for one in planned]
    return sum(hours for hours in found if hours is not None) if None not in found else None


def study_rows(project: Project, name: str = "") -> list[StudyRow]:
    found = studies.studies(project, name)
    counts = queries.counts_of([sweep.pk for study in found for sweep in study.sweeps])
    return [study_row(study, counts) for study in found]


def study_row(study: Study, counts: dict[int, dict[str, int]] | None = None) -> StudyRow:
    counts = counts or queries.counts_of([sweep.pk for sweep in study.sweeps])
    mine = [counts[sweep.pk] for sweep in study.sweeps]
    summed = {status: sum(each[status] for each in mine) for status in mine[0]}
    trials = sum(int(sweep.definition["trials"]) for sweep in study.sweeps)
    done = summed["total"] - summed["queued"] - summed["running"]
    return StudyRow(study, trials, done, study.status, segments_of(summed, trials))


def _row(entry: Entry) -> Row:
    reason = studies.unavailable(entry)
    try:
        return Row(
            entry, None if reason else cost(entry.module.plan(entry.knobs(name=entry.name), example(entry))), reason
        )
    except Invalid as error:
        return Row(entry, None, str(error))
