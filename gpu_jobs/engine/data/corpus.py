"""Data as read, before a tokenizer has seen them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from gpu_jobs.sources import Form

Messages: TypeAlias = list[dict[str, str]]  # role and content of each


class Sample(NamedTuple):
    """A prompt and what may follow it: nothing, an answer, or a better and a worse one.

    All are texts or all are messages; an answer of messages begins with a turn of the assistant and may hold several.
    Samples with the same `key` always lie on the same side of a division.
    """

    key: str
    prompt: str | Messages
    answers: tuple[str | Messages, ...] = ()


class Classified(Protocol):
    """Where texts have classes: the column, the class of each text in order, and the names of numbered classes."""

    @property
    def label_column(self) -> str: ...

    @property
    def class_names(self) -> list[str] | None: ...

    def classes(self) -> list[Any]: ...


class Samples(Protocol):
    """Data that are read in a form other than text; `form` is the one they have where none is asked for."""

    def form(self) -> Form: ...

    def read(self, form: Form) -> Iterator[Sample]: ...


@dataclass(frozen=True)
class Corpus:
    """Texts that can be read again and again; `digest` stands for all of their content.

    `table` is None where texts have no classes. `held_out` are the data for "eval" and "test", where the source names
    them. `samples` is None where there is text only; `columns` stands for what it reads of the content.
    """

    name: str
    digest: str
    texts: Callable[[], Iterator[str]]
    table: Classified | None = None
    held_out: Mapping[str, Corpus] = field(default_factory=dict)
    samples: Samples | None = None
    columns: str = ""
