"""Which runs are compared: numbers, a query like that of the runs table, a sweep; none that is not theirs to see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.db.models import Count, QuerySet
from pydantic import BaseModel, ConfigDict, Field

from webapp.accounts.models import Project, User
from webapp.metrics.models import Series
from webapp.metrics.queries import summaries
from webapp.runs import queries, tables
from webapp.runs.models import Run
from webapp.sweeps.comparison.question import PREFERRED
from webapp.sweeps.measures.reading import at
from webapp.sweeps.models import Sweep
from webapp.sweeps.rows import Row, row_of

MOST = 2000
MOST_GPUS = 64  # of a run, see gpu_jobs/spec.py
POWER = tuple(f"system/gpu{index}_power_watts" for index in range(MOST_GPUS))
LARGEST_ID = 2**63 - 1
SILENT = "system/"  # what the machine says is no quality


class Choice(BaseModel):
    """All that is given must hold. Nothing given is nothing chosen, not everything."""

    model_config = ConfigDict(frozen=True)

    runs: tuple[int, ...] = ()
    q: str = Field("", max_length=tables.MOST_CHARACTERS)
    status: str = ""
    kind: str = ""
    tag: str = ""


class Chosen(NamedTuple):
    """`missing`: numbers that are no runs, or not theirs to see. `found` may be more than the `runs`: the newest."""

    runs: list[Run]
    found: int
    missing: list[int]
    metrics: dict[str, int]  # in how many of them each was logged


class Loaded(NamedTuple):
    rows: list[Row]
    bases: dict[int, Row]
    own_baselines: tuple[int, ...]


def choose(user: User, choice: Choice, project: Project | None = None, sweep: Sweep | None = None) -> Chosen:
    """Three queries. Raises Invalid for an unknown status."""
    words = choice.model_dump(include={"q", "status", "kind", "tag"})
    if not (choice.runs or project or sweep or any(words.values())):
        return Chosen([], 0, [], {})
    matching = tables.table(user, project, **words)
    if sweep is not None:
        matching = matching.filter(replicate__trial__sweep=sweep)
    if choice.runs:
        matching = matching.filter(pk__in=[number for number in choice.runs if 0 < number <= LARGEST_ID])
    runs = list(matching.order_by("-pk")[: MOST + 1])
    found = len(runs) if len(runs) <= MOST else matching.count()
    runs = runs[:MOST]
    missing = sorted(set(choice.runs) - {run.pk for run in runs}) if found <= MOST else []
    return Chosen(runs, found, missing, _metrics(runs))


def load(user: User, runs: Iterable[Run], metric: str) -> Loaded:
    """The rows, and those of the runs whose models they start from. Two queries."""
    chosen = list(runs)
    wanted = {number for run in chosen if isinstance(number := at(run.spec, "model.run"), int)}
    bases = list(_visible(user, wanted)) if wanted else []
    told = summaries([run.pk for run in (*chosen, *bases)], [metric, *POWER])
    own = tuple(sorted({run.baseline_id for run in chosen if run.baseline_id is not None}))
    return Loaded(
        [row_of(run, told[run.pk]) for run in chosen], {run.pk: row_of(run, told[run.pk]) for run in bases}, own
    )


def usual_metric(metrics: dict[str, int]) -> str:
    """What most of them have logged, of the metrics that people judge by; else of any."""
    liked = [name for name in PREFERRED if name in metrics] or [name for name in metrics if name.startswith("eval/")]
    return max(liked or sorted(metrics), key=lambda name: metrics[name], default=PREFERRED[0])


def _visible(user: User, numbers: Iterable[int]) -> QuerySet[Run]:
    return queries.visible(user).filter(pk__in=[number for number in numbers if 0 < number <= LARGEST_ID])


def _metrics(runs: Iterable[Run]) -> dict[str, int]:
    """By name."""
    series = Series.objects.filter(run__in=[run.pk for run in runs], count__gt=0).exclude(name__startswith=SILENT)
    return dict(series.values_list("name").annotate(count=Count("pk")).order_by("name"))
