"""The columns of somebody who chose none: those that the project's newest runs can fill."""

from __future__ import annotations

from webapp.metrics.table import fields
from webapp.metrics.table.fields import KEY_METRICS
from webapp.pages.runs.newest import Newest, runs_of
from webapp.runs.actions.outside import EXTERNAL

OF_JOBS = {"progress", "trainable", "memory", "speed"}  # what no program outside tells
BEFORE_METRICS = ("status", "progress", "method", "trainable")
AFTER_METRICS = ("memory", "speed", "time", "tags")


def usual(newest: Newest) -> tuple[str, ...]:
    """Of a project without runs: as if it had trained."""
    metrics = fields.usual(runs_of(newest.project)) or KEY_METRICS[:1]
    left = set() if newest.name_methods else {"method"}
    left |= OF_JOBS if newest.kinds == [EXTERNAL] else set()
    return tuple(name for name in (*BEFORE_METRICS, *metrics, *AFTER_METRICS) if name not in left)
