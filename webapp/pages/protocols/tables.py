"""A protocol's result as facts and tables: every list of objects is a table, every single value a fact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from webapp.pages.runs.facts import NOTHING, Fact
from webapp.pages.templatetags import hone as text
from webapp.sweeps.measures.outcomes import Outcomes, Result

MOST_ROWS = 200
FEW = 12  # values of a list that stands as one fact
ABOUT = ("outcomes", "notes")


class Column(NamedTuple):
    label: str
    help: str
    is_number: bool


class Cell(NamedTuple):
    text: str
    is_number: bool


class Table(NamedTuple):
    """`count` rows in all, of which the first are here."""

    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    count: int  # type: ignore[assignment]  # shadows tuple.count


def outcome_facts(outcomes: Outcomes) -> list[Fact]:
    """How the trials stand; what never happened is left out."""
    rest = outcomes.model_dump(exclude={"trials", "succeeded"})
    told = [Fact(text.words(name).capitalize(), f"{count:,}", "") for name, count in rest.items() if count]
    done = f"of {outcomes.trials:,}" if outcomes.trials else "none has begun"
    return [Fact("Trials succeeded", f"{outcomes.succeeded:,}", done), *told]


def value_facts(result: Result) -> list[Fact]:
    """The single values that the protocol tells, with what they are; what could not be measured is a dash."""
    about = type(result).model_fields
    return [
        Fact(_label(name), written(value), str(about[name].description or ""))
        for name, value in result
        if name not in ABOUT and result.outcomes.trials and _is_fact(value)
    ]


def _is_fact(value: Any) -> bool:
    if isinstance(value, list):
        return 0 < len(value) <= FEW and not isinstance(value[0], BaseModel)
    return not isinstance(value, str | BaseModel)


def tables(result: Result) -> list[Table]:
    found = ((name, value) for name, value in result if name not in ABOUT and isinstance(value, list))
    return [_table(name, value) for name, value in found if value and isinstance(value[0], BaseModel)]


def written(value: Any) -> str:
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return text.metric(value)
    if isinstance(value, list):
        return ", ".join(written(item) for item in value) or NOTHING
    if isinstance(value, dict):
        return ", ".join(f"{key} {written(item)}" for key, item in sorted(value.items())) or NOTHING
    return str(value)


def _table(name: str, items: list[BaseModel]) -> Table:
    columns = list(_columns(items))
    rows = [[Cell(written(getattr(item, key)), c.is_number) for key, c in columns] for item in items[:MOST_ROWS]]
    return Table(_label(name), [column for _, column in columns], rows, len(items))


def _columns(items: list[BaseModel]) -> Iterator[tuple[str, Column]]:
    """Without those that hold lists, and those that say nothing in any row."""
    for name, told in type(items[0]).model_fields.items():
        values = [getattr(item, name) for item in items]
        known = [value for value in values if value is not None and value != ""]
        if known and not isinstance(known[0], list):
            is_number = isinstance(known[0], int | float) and not isinstance(known[0], bool)
            yield name, Column(_label(name), str(told.description or ""), is_number)


def _label(name: str) -> str:
    words = name.replace("_", " ").replace("lr", "LR") if name in ("lr", "best_lr") else name.replace("_", " ")
    return words[:1].upper() + words[1:]
