"""What the form of a comparison offers, and the switch between its measures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from webapp.accounts.models import Project
from webapp.pages.compare.asked import ALL, Asked
from webapp.runs.states import Status
from webapp.sweeps.comparison.answering import Answer
from webapp.sweeps.comparison.measured import BUDGETS, Measure

MOST_BASELINES = 500
GOALS = {"": "by its name", "minimize": "less", "maximize": "more"}
TESTS = {"auto": "by the seeds", "paired": "paired", "welch": "Welch"}


class Option(NamedTuple):
    value: str
    title: str
    is_chosen: bool


class Select(NamedTuple):
    name: str
    label: str
    options: list[Option]


def form(asked: Asked, found: Answer, projects: Sequence[Project]) -> dict[str, Any]:
    """Selects of which runs, and of what is asked about them."""
    return {
        "which": [
            _select("project", "Project", [("", "any project"), *((one.slug, one.name) for one in projects)], asked),
            _select("status", "State", [("", "any state"), *_statuses()], asked),
        ],
        "what": [
            _select("metric", "Quality", _metrics(asked, found), asked),
            _select("goal", "Better is", GOALS.items(), asked),
            _select("baseline", "Baseline", _baselines(asked, found), asked),
            _select("budget", "Held equal", ((name, one.label.lower()) for name, one in BUDGETS.items()), asked),
            _select("test", "Interval", TESTS.items(), asked),
        ],
    }


def tabs(asked: Asked, measures: Sequence[Measure], chosen: str) -> list[dict[str, Any]]:
    named = [(one.name, one.label) for one in measures] + ([(ALL, "All")] if len(measures) > 1 else [])
    return [
        {"label": label, "url": f"{asked.url_query(x=name)}#charts", "current": name == chosen} for name, label in named
    ]


def _select(name: str, label: str, options: Iterable[tuple[Any, str]], asked: Asked) -> Select:
    value = getattr(asked, name)
    chosen = "" if value is None else str(value)
    return Select(name, label, [Option(str(key), title, str(key) == chosen) for key, title in options])


def _statuses() -> list[tuple[str, str]]:
    return [(status, status.replace("_", " ")) for status in ["active", *Status.values, "ended"]]


def _metrics(asked: Asked, found: Answer) -> list[tuple[str, str]]:
    known = {name: f"{name} ({count:,})" for name, count in found.chosen.metrics.items()}
    mine = {asked.metric: asked.metric} if asked.metric and asked.metric not in known else {}
    usual = found.comparison.question.metric if found.chosen.runs and not asked.metric else "what most have"
    return [("", usual), *mine.items(), *known.items()]


def _baselines(asked: Asked, found: Answer) -> list[tuple[Any, str]]:
    """The first run of each group; another of its runs may be what the address names."""
    lines = found.comparison.lines
    chosen = next((line.key for line in lines if asked.baseline in line.runs), None)
    named = [(asked.baseline if line.key == chosen else line.key, line.label) for line in lines[:MOST_BASELINES]]
    return [("", "automatic"), *named]
