"""What one run of a sweep takes: measured on its own runs, before there are any foretold from a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gpu_jobs.spec import JobSpec, references
from webapp.accounts.errors import Invalid
from webapp.runs.forecast import forecast
from webapp.runs.models import Run
from webapp.runs.specs import checked
from webapp.runs.specs import planned as planned_job
from webapp.sweeps.checking import listed
from webapp.sweeps.definition import Definition
from webapp.sweeps.errors import Exhausted
from webapp.sweeps.models import Sweep
from webapp.sweeps.registry import entries
from webapp.sweeps.search.asking import ask
from webapp.sweeps.specs import spec_of
from webapp.sweeps.usage import typical

EXAMPLES = 5
JOULES_PER_KWH = 3.6e6


class Pace(NamedTuple):
    """Of a run that goes to its end. None where nothing is known; `measured_runs` is what the seconds rest on."""

    seconds: float | None
    gpus: float
    flops: float | None
    joules: float | None
    measured_runs: int

    @property
    def hours(self) -> float | None:
        return None if self.seconds is None else self.seconds / 3600

    @property
    def gpu_hours(self) -> float | None:
        return None if self.seconds is None else self.seconds * self.gpus / 3600

    @property
    def energy_kwh(self) -> float | None:
        return None if self.joules is None else self.joules / JOULES_PER_KWH


def pace(sweep: Sweep, definition: Definition) -> Pace:
    """By the sweep's own finished runs; without any, by the plan of its newest ones, else of points it might try."""
    own = typical(sweep.pk)
    if own.measured_runs:
        return Pace(own.seconds, own.gpus or 1.0, own.flops, own.joules, own.measured_runs)
    queued = Run.objects.filter(replicate__trial__sweep=sweep).order_by("-pk").values_list("spec", flat=True)
    return planned(list(queued[:EXAMPLES]) or examples(definition))


def examples(definition: Definition) -> list[dict[str, Any]]:
    """Specs of random points of the space, always the same ones; of a list all, where the sampler has one."""
    if every := listed(definition):
        return [spec_of(definition, params, definition.seeds.first) for params in every]
    random = entries("search.samplers")["random"].knobs(name="random")
    search = definition.search.model_copy(update={"sampler": random})
    try:
        points = ask(search, definition.objective, [], EXAMPLES, spec=definition.spec)
    except Exhausted:
        return []
    return [spec_of(definition, point.params, definition.seeds.first) for point in points]


def planned(specs: Sequence[Mapping[str, Any]]) -> Pace:
    """The mean over these specs of FLOPs by count, and of time at this installation's measured rate."""
    known = [found for spec in specs if (found := _planned(spec)) is not None]
    return Pace(
        seconds=_mean(one.seconds for one in known),
        gpus=_mean(one.gpus for one in known) or 1.0,
        flops=_mean(one.flops for one in known),
        joules=None,
        measured_runs=max((one.measured_runs for one in known), default=0),
    )


def _planned(spec: Mapping[str, Any]) -> Pace | None:
    """None for a kind without a plan, and for a point that can't be run at all."""
    try:
        parsed = checked(spec)
        plan = planned_job(parsed, facts_of(parsed))
    except (Invalid, TypeError):
        return None
    total = plan.flops["total"]
    time = forecast(total, plan.flops["per_step"])
    flops = float(total) if isinstance(total, int | float) else None
    return Pace(time.seconds, getattr(parsed, "gpus", 1), flops, None, time.measured_runs)


def facts_of(spec: JobSpec) -> dict[str, dict[str, Any]]:
    """Of the runs whose models it builds on, as far as they have begun."""
    numbers = [int(name.removeprefix("run:")) for name in references(spec) if name.startswith("run:")]
    found = Run.objects.filter(pk__in=numbers).values_list("pk", "facts") if numbers else ()
    return {f"run:{pk}": facts for pk, facts in found if facts.get("model", {}).get("config")}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
