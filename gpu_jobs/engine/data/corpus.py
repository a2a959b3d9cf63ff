"""Data as read, before a tokenizer has seen them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Classified(Protocol):
    """Where texts have classes: the column, the class of each text in order, and the names of numbered classes."""

    @property
    def label_column(self) -> str: ...

    @property
    def class_names(self) -> list[str] | None: ...

    def classes(self) -> list[Any]: ...


@dataclass(frozen=True)
class Corpus:
    """Texts that can be read again and again; `digest` stands for all of their content.

    `table` is None where texts have no classes. `held_out` are the data for "eval" and "test", where the source names
    them.
    """

    name: str
    digest: str
    texts: Callable[[], Iterator[str]]
    table: Classified | None = None
    held_out: Mapping[str, Corpus] = field(default_factory=dict)
