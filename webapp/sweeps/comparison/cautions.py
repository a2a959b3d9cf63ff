"""What makes a comparison doubtful, named: other data, tasks or models, too few seeds, runs that did not end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from webapp.runs.states import FINAL, Status
from webapp.sweeps.comparison.grouping import Group, shown
from webapp.sweeps.comparison.question import Question
from webapp.sweeps.comparison.results import Line
from webapp.sweeps.measures import reading
from webapp.sweeps.rows import Row

FEW = 4  # names of groups in a sentence


def cautions(asked: Question, groups: Sequence[Group], lines: Sequence[Line]) -> list[str]:
    found = [
        *_mixed(groups, "data", _data),
        *_mixed(groups, "tasks", lambda row: str(row.facts.get("task") or row.spec.get("task") or "")),
        *_mixed(groups, "tokenizers", _tokenizer),
        *_mixed(groups, "models to start from", lambda row: _source(row.spec.get("model"))),
    ]
    if asked.group:
        found.append(
            "Groups hold runs that differ in more than their seed: intervals are over runs, not over seeds alone."
        )
    return [*found, *_valueless(asked.metric, lines), *_lost(lines)]


def notes(asked: Question, lines: Sequence[Line]) -> list[str]:
    """How the numbers came about."""
    tests = {line.against.test for line in lines if line.against}
    level = f"{asked.confidence:.0%}".replace("%", " %")
    told = []
    if "paired" in tests:
        told.append(f"Paired over common seeds: {level} t interval of the differences seed by seed.")
    if "welch" in tests:
        told.append(f"Welch: {level} t interval of two means whose spreads may differ.")
    if "" in tests:
        told.append("One seed, or too few in common: no interval, so nothing says whether the difference is noise.")
    if len(lines) > 2 and tests & {"paired", "welch"}:
        told.append("Each interval stands for itself: with many groups, some lie beyond noise by chance.")
    return told


def _mixed(groups: Sequence[Group], noun: str, read: Callable[[Row], str]) -> list[str]:
    """A sentence where not all groups share a value."""
    found: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        for value in dict.fromkeys(read(row) for row in group.rows):
            found[value].append(group.label)
    if len(found) < 2:
        return []
    parts = [f"{value or 'unknown'} ({_few(labels)})" for value, labels in sorted(found.items())]
    return [f"Different {noun}: {'; '.join(parts[:FEW])}{' and more' if len(parts) > FEW else ''}."]


def _data(row: Row) -> str:
    """By its source; of what is not in the spec, by what the run read."""
    data = row.spec.get("data")
    return _source(data) if data else str(reading.at(row.facts, "data.name") or "")


def _tokenizer(row: Row) -> str:
    found = row.spec.get("tokenizer")
    return " ".join(shown(value) for value in found.values()) if isinstance(found, dict) else "the model's own or bytes"


def _source(block: Any) -> str:
    """All that is said of it, shortly."""
    if not isinstance(block, dict):
        return ""
    words = [f"{name} {shown(value)}" for name, value in block.items() if value not in (None, "", [], {}, False)]
    return ", ".join(word.removeprefix("source ").removeprefix("name ") for word in words[:FEW])


def _valueless(metric: str, lines: Sequence[Line]) -> list[str]:
    """Groups that have ended well and yet say nothing."""
    silent = [line.label for line in lines if line.quality is None and line.outcomes.get(Status.SUCCEEDED)]
    return [f"Without a finite {metric}: {_few(silent)}."] if silent else []


def _lost(lines: Sequence[Line]) -> list[str]:
    lost: dict[str, int] = defaultdict(int)
    for line in lines:
        for status, count in line.outcomes.items():
            if status != Status.SUCCEEDED:
                lost[status.replace("_", " ") if status in FINAL else "not over yet"] += count
    words = ", ".join(f"{count} {name}" for name, count in sorted(lost.items()))
    return [f"Runs that count in no mean: {words}."] if words else []


def _few(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - FEW} more" if len(labels) > FEW else ""
    return ", ".join(labels[:FEW]) + more
