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
PLAIN = ("name", "source", "path", "id", "architecture")  # what these say needs no word before it


def cautions(asked: Question, groups: Sequence[Group], lines: Sequence[Line]) -> list[str]:
    found = [
        *_mixed(groups, "data", _data),
        *_mixed(groups, "tasks", lambda row: {"name": row.facts.get("task") or row.spec.get("task")}),
        *_mixed(groups, "tokenizers", lambda row: _block(row, "tokenizer")),
        *_mixed(groups, "objectives", lambda row: _block(row, "objective")),
        *_mixed(groups, "models to start from", lambda row: _block(row, "model")),
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


def _mixed(groups: Sequence[Group], noun: str, read: Callable[[Row], dict[str, Any]]) -> list[str]:
    """A sentence where not all groups share a block: each kind of it by that in which they differ."""
    blocks: dict[str, dict[str, Any]] = {}
    labels: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        for key, block in {repr(sorted(found.items())): found for found in map(read, group.rows)}.items():
            blocks[key] = block
            labels[key].append(group.label)
    if len(blocks) < 2:
        return []
    names = [name for name in dict.fromkeys(name for block in blocks.values() for name in block)
             if len({repr(block.get(name)) for block in blocks.values()}) > 1]  # fmt: skip
    parts = [f"{_words(block, names)} ({_few(labels[key])})" for key, block in blocks.items()]
    return [f"Different {noun}: {'; '.join(parts[:FEW])}{' and more' if len(parts) > FEW else ''}."]


def _words(block: dict[str, Any], names: Sequence[str]) -> str:
    told = [
        shown(block[name]) if name in PLAIN else f"{name} {shown(block[name])}" for name in names if block.get(name)
    ]
    return " ".join(told) or "none"


def _data(row: Row) -> dict[str, Any]:
    """As the spec says; of a run from outside, as it says itself."""
    return _block(row, "data") or {"name": reading.at(row.facts, "data.name")}


def _block(row: Row, name: str) -> dict[str, Any]:
    found = row.spec.get(name)
    return found if isinstance(found, dict) else {}


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
