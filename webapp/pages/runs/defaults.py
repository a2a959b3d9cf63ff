"""The columns of somebody who chose none: those that the project's newest runs can fill."""

from __future__ import annotations

from django.contrib.postgres.aggregates import BoolOr
from django.db.models import Q

from webapp.accounts.models import Project
from webapp.metrics.table import fields
from webapp.metrics.table.fields import KEY_METRICS
from webapp.pages.runs.table import newest, runs_of
from webapp.runs.actions.outside import EXTERNAL
from webapp.runs.models import Run

OF_JOBS = {"progress", "trainable", "memory", "speed"}  # what no program outside tells
BEFORE_METRICS = ("status", "progress", "method", "trainable")
AFTER_METRICS = ("memory", "speed", "time", "tags")


def usual(project: Project) -> tuple[str, ...]:
    """Of a project without runs: as if it had trained."""
    metrics = fields.usual(runs_of(project)) or KEY_METRICS[:1]
    left = _left(project)
    return tuple(name for name in (*BEFORE_METRICS, *metrics, *AFTER_METRICS) if name not in left)


def _left(project: Project) -> set[str]:
    told = Run.objects.filter(pk__in=newest(project).values("pk")).aggregate(
        jobs=BoolOr(~Q(kind=EXTERNAL)), method=BoolOr(Q(spec__has_key="method"))
    )
    return (OF_JOBS if told["jobs"] is False else set()) | ({"method"} if told["method"] is False else set())
