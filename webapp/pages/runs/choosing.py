"""Which columns the table of runs can show, found by words, and the order of those that it does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from webapp.accounts.models import Project
from webapp.metrics.querying import LAST, names
from webapp.pages.runs.columns import ALIASES, COLUMNS, RUN, column, is_family
from webapp.pages.runs.newest import runs_of
from webapp.runs.language import part_text
from webapp.runs.language.columns import FAMILIES

AGGREGATES = (LAST, "min", "max", "mean")
MOST_PATHS = 100
HEADS = {"params": "Config", "facts": "Facts"}


class Choice(NamedTuple):
    name: str
    label: str


class Line(NamedTuple):
    """One thing that can be shown, in one way or in several."""

    label: str
    choices: Sequence[Choice]


class Group(NamedTuple):
    title: str
    lines: Sequence[Line]


def shown(names: Sequence[str]) -> list[Choice]:
    return [Choice(name, column(name).label) for name in names]


def moved(names: Sequence[str], name: str, by: int) -> tuple[str, ...]:
    """With this one a place further; where it is where there is no further."""
    found = list(names)
    if name in found:
        place = found.index(name)
        found.insert(max(0, place + by), found.pop(place))
    return tuple(found)


def offered(project: Project, find: str, shown: Iterable[str]) -> list[Group]:
    """What is not shown yet and has all the words, by what it is; of many metrics, 60."""
    words, taken = find.lower().split()[:10], {column(name).name for name in shown}
    plain = [Line(item.label, [Choice(name, item.label)]) for name, item in COLUMNS.items()]
    groups = [Group("Run", plain), Group("Metrics", _metrics(project, words))]
    groups += [Group(title, _paths(project, family)) for family, title in HEADS.items()]
    left = [Group(title, _left(lines, words, taken)) for title, lines in groups]
    return [group for group in left if group.lines]


def _metrics(project: Project, words: Sequence[str]) -> list[Line]:
    named = [word for word in words if word not in AGGREGATES]
    found = names(runs_of(project), max(named, key=len, default=""))
    return [Line(name, [Choice(metric_column(name, of), of) for of in AGGREGATES]) for name in found]


def metric_column(name: str, aggregate: str) -> str:
    """The plain name for its last value, where that is not the name of something else."""
    is_taken = name in COLUMNS or name in ALIASES or name == RUN.name or is_family(name) or "," in name or '"' in name
    if aggregate == LAST:
        return f"metrics.{part_text(name)}" if is_taken or name != name.strip() else name
    return f"metrics.{part_text(name)}.{aggregate}"


def _paths(project: Project, family: str) -> list[Line]:
    found = FAMILIES[family].names(runs_of(project), "")
    labels = [".".join(path) for path in found]
    return [
        Line(label, [Choice(f"{family}.{'.'.join(map(part_text, path))}", label)])
        for label, path in zip(labels, found, strict=True)
    ]


def _left(lines: Iterable[Line], words: Sequence[str], taken: set[str]) -> list[Line]:
    left = [
        Line(line.label, [choice for choice in line.choices if _fits(line, choice, words, taken)]) for line in lines
    ]
    return [line for line in left if line.choices][:MOST_PATHS]


def _fits(line: Line, choice: Choice, words: Sequence[str], taken: set[str]) -> bool:
    text = f"{line.label} {choice.label} {choice.name.removeprefix('metrics.')}".lower()
    return choice.name not in taken and all(word in text for word in words)
