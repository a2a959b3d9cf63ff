"""Tells open pages of new points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.metrics.points import Points
from webapp.runs import news, plain

MOST_POINTS = 2000  # in one piece of news; a page reads more than that again from the start


def announce(run_id: int, series: Mapping[str, Points], most: int = MOST_POINTS) -> None:
    """Once the transaction is committed, publishes `points` {name: {"step": [...], "value": [...], "time": [...]}}.

    A value that JSON can't hold is its name. More than `most` points become `reset`: read again.
    """
    if sum(len(points.steps) for points in series.values()) > MOST_POINTS:
        news.publish_on_commit(run_id, "reset", {})
    elif series:
        news.publish_on_commit(run_id, "points", {name: _columns(points) for name, points in series.items()})


def _columns(points: Points) -> dict[str, Any]:
    steps, values, times = points
    return {"step": steps.tolist(), "value": plain.json(values.tolist()), "time": times.tolist()}
