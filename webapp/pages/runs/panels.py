"""Which charts a run page shows, in which groups. It never reads more of a run's metrics than it shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from webapp.metrics import catalogue
from webapp.metrics.queries import Summary, summaries
from webapp.pages.templatetags.hone import series_class
from webapp.runs.models import Attempt, Run

FIRST = ("train/loss", "eval/loss", "eval/accuracy")
GROUPS = ("eval", "train", "*", "system")  # the star is where all others stand, by name
SYSTEM, OTHER = "system", "other"
MOST_OPEN = 48  # panels in open groups when the page comes
MOST_PANELS = 60  # added at once


class Panel(NamedTuple):
    """`colour` is the CSS variable of its line; `baseline` the baseline's last value of the same metric."""

    name: str
    colour: str
    baseline: float | None
    summary: Summary
    is_pinned: bool = False


class PanelGroup(NamedTuple):
    """The metrics below `path`; `panels` is None where there are too many to show before somebody asks."""

    path: str
    label: str
    metrics: int
    panels: list[Panel] | None


class Level(NamedTuple):
    """What a group opens to: smaller groups, then panels, and after which metric there are more."""

    groups: list[PanelGroup]
    panels: list[Panel]
    found: int
    after: str | None


def page_of(run: Run, pins: Sequence[str] = ()) -> tuple[list[Panel], list[PanelGroup]]:
    """The pinned panels and those that always come first, and the groups of all metrics."""
    first = catalogue.known(run.pk, [*pins, *FIRST])
    return _panels(run, first, pins), _groups(run, set(first))


def level_of(run: Run, under: str, after: str = "") -> Level:
    """All panels below a path where they are few; else its branches, and the first panels that stand in none."""
    branches = [] if after or not under else catalogue.branches(run.pk, under)
    if 0 < sum(branch.metrics for branch in branches) <= MOST_PANELS:
        below = catalogue.below(run.pk, under, limit=2 * MOST_PANELS)
        if not below.has_more:
            return Level([], _panels(run, below.names), below.found, None)
    leaves = catalogue.leaves(run.pk, under, after=after, limit=MOST_PANELS)
    groups = [PanelGroup(branch.path, branch.label, branch.metrics, None) for branch in branches]
    return Level(groups, _panels(run, leaves.names), leaves.found, _after(leaves))


def found_by(run: Run, words: str, after: str = "") -> Level:
    found = catalogue.find(run.pk, words, after=after, limit=MOST_PANELS)
    return Level([], _panels(run, found.names), found.found, _after(found))


def prefix_of(name: str) -> str:
    return name.partition("/")[0] if "/" in name else OTHER


def _after(some: catalogue.Some) -> str | None:
    return some.names[-1] if some.has_more else None


def _groups(run: Run, taken: set[str]) -> list[PanelGroup]:
    """In their order; open as long as there is room for all of a group's panels."""
    branches = sorted(catalogue.branches(run.pk), key=lambda branch: _place(branch.path))
    opened, room = [], MOST_OPEN
    for branch in branches:
        if branch.metrics <= room:
            room -= branch.metrics
            opened.append(branch.path)
    names = {path: catalogue.below(run.pk, path, limit=MOST_OPEN).names for path in opened}
    bare = catalogue.leaves(run.pk, limit=MOST_OPEN)
    if bare.found <= room:
        names[""] = bare.names
    panels = {panel.name: panel for panel in _panels(run, [name for each in names.values() for name in each])}
    told = [(branch.path, branch.path, branch.metrics) for branch in branches]
    told += [("", OTHER, bare.found)] if bare.found else []
    groups = [
        PanelGroup(path, label, count, _of(panels, names[path], taken) if path in names else None)
        for path, label, count in sorted(told, key=lambda one: _place(one[1]))
    ]
    return [group for group in groups if group.panels != []]


def _of(panels: dict[str, Panel], names: Sequence[str], taken: set[str]) -> list[Panel]:
    return [panels[name] for name in names if name not in taken]


def _place(prefix: str) -> tuple[int, str]:
    return GROUPS.index(prefix if prefix in GROUPS else "*"), prefix


def _panels(run: Run, names: Sequence[str], pins: Sequence[str] = ()) -> list[Panel]:
    found = summaries([run.pk, *([run.baseline_id] if run.baseline_id else [])], names)
    own, baseline = found[run.pk], found.get(run.baseline_id or 0, {})
    return [_panel(name, own[name], baseline, name in pins) for name in names if name in own]


def _panel(name: str, summary: Summary, baseline: dict[str, Summary], is_pinned: bool) -> Panel:
    colour = {"eval": 0, "train": 0, "system": 2}.get(prefix_of(name), 6)
    value = baseline[name].last if name in baseline and prefix_of(name) != SYSTEM else None
    return Panel(name, f"--{series_class(colour)}", value, summary, is_pinned)


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
