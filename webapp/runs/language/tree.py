"""A query as a tree. `at` is where in the text a part begins; two trees are equal whatever it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Name:
    """A column: "status", or a path below one: ("metrics", "eval/loss", "min")."""

    parts: tuple[str, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Text:
    value: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Number:
    """An int, or a float; NaN and the infinities too."""

    value: int | float
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Duration:
    """As it was written, "1h30m"."""

    text: str
    at: int = field(default=0, compare=False)

    @property
    def seconds(self) -> float:
        return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", self.text))


Value = Text | Number | Duration


@dataclass(frozen=True)
class Comparison:
    """`operator` is a sign, or in, like, ilike, is null, with "not " before those that are turned round."""

    column: Name
    operator: str
    values: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Not:
    node: Node


@dataclass(frozen=True)
class And:
    nodes: tuple[Node, ...]  # two or more


@dataclass(frozen=True)
class Or:
    nodes: tuple[Node, ...]  # two or more


Node = Comparison | Not | And | Or
