"""What a reader may choose about a chart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from webapp.sweeps.definition import Definition


class Choice(NamedTuple):
    value: str
    title: str


class Option(NamedTuple):
    """`choices` has at least one; the first is the default. An open one takes other whole numbers, too."""

    name: str
    title: str
    choices: list[Choice]
    is_open: bool = False


def option(name: str, title: str, choices: Iterable[tuple[str, str]]) -> Option:
    return Option(name, title, [Choice(*choice) for choice in choices])


def objectives(definition: Definition) -> list[Option]:
    """Which objective, by its place; nothing to choose when there is one."""
    names = [(str(place), one.metric) for place, one in enumerate(definition.objective)]
    return [option("objective", "objective", names)] if len(names) > 1 else []
