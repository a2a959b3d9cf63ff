"""Which charts a run page shows, in which groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from webapp.metrics.queries import Summary
from webapp.pages.templatetags.hone import series_class
from webapp.runs.models import Attempt

FIRST = ("train/loss", "eval/loss", "eval/accuracy")
GROUPS = ("eval", "train", "*", "system")  # the star is where all others stand, by name
SYSTEM = "system"


class Panel(NamedTuple):
    """`colour` is the CSS variable of its line; `baseline` the baseline's last value of the same metric."""

    name: str
    colour: str
    baseline: float | None
    summary: Summary


class PanelGroup(NamedTuple):
    prefix: str
    panels: list[Panel]


def panels_of(metrics: dict[str, Summary], baseline: dict[str, Summary]) -> tuple[list[Panel], list[PanelGroup]]:
    """The panels that come first, and the others by the prefix of their names."""
    panels = {name: _panel(name, metrics[name], baseline) for name in sorted(metrics)}
    first = [panels.pop(name) for name in FIRST if name in panels]
    groups: dict[str, list[Panel]] = {}
    for name, panel in panels.items():
        groups.setdefault(prefix_of(name), []).append(panel)
    return first, [PanelGroup(prefix, groups[prefix]) for prefix in sorted(groups, key=_place)]


def prefix_of(name: str) -> str:
    return name.partition("/")[0] if "/" in name else "other"


def _place(prefix: str) -> tuple[int, str]:
    return GROUPS.index(prefix if prefix in GROUPS else "*"), prefix


def _panel(name: str, summary: Summary, baseline: dict[str, Summary]) -> Panel:
    colour = {"eval": 0, "train": 0, "system": 2}.get(prefix_of(name), 6)
    value = baseline[name].last if name in baseline and prefix_of(name) != SYSTEM else None
    return Panel(name, f"--{series_class(colour)}", value, summary)


def marks_of(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Dotted verticals, one a step: where an attempt was resumed, or else where a phase began (the first has none)."""
    marks = {mark["step"]: mark for mark in (*_phases(attempts), *_resumes(attempts))}
    return [marks[step] for step in sorted(marks)]


def _resumes(attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    resumed = [attempt for attempt in attempts if attempt.resumed_from_step]
    return [
        _mark("resumed", f"attempt {item.number}", item.resumed_from_step or 0, item.started_at) for item in resumed
    ]


def _phases(attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    marks = [mark for attempt in attempts for mark in attempt.phases.all()]
    return [_mark("phase", mark.name, mark.step, mark.at) for mark in marks if mark.step > 0]


def _mark(kind: str, label: str, step: int, at: datetime) -> dict[str, Any]:
    return {"kind": kind, "label": label, "step": step, "time": at.timestamp()}
