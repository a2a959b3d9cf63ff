"""Rows of a table as prompts with answers, as conversations, or as preferences: which columns hold them, and whether
each row can be used."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeGuard

from gpu_jobs.engine.data.corpus import Messages, Sample
from gpu_jobs.engine.data.tables import Table
from gpu_jobs.errors import DataError
from gpu_jobs.sources import Form
from gpu_jobs.sources import Table as TableSource

# What a column is called where the source does not say, the usual name first.
USUAL = {
    "prompt_column": ("prompt", "instruction", "question"),
    "answer_column": ("answer", "output", "response", "completion"),
    "messages_column": ("messages",),
    "chosen_column": ("chosen",),
    "rejected_column": ("rejected",),
}
CONTEXT = "input"  # what an instruction is about, in data sets of instruction, input and output


class TableSamples:
    """The samples of a table. Every error names the row and the field of the spec to change."""

    def __init__(self, table: Table, source: TableSource) -> None:
        self._table = table
        self._source = source

    @cached_property
    def _columns(self) -> dict[str, str | None]:
        """The column of each field: as named, else the usual one that is there, else None."""
        return {field: self._find(field) for field in USUAL}

    def _find(self, field: str) -> str | None:
        named = getattr(self._source, field)
        if named is not None:
            self._table.require(named, field)
            return str(named)
        return next((name for name in USUAL[field] if name in self._table.rows.features), None)

    def form(self) -> Form:
        """What the table holds where no form is asked for: text if it has a column of that name, else what is found."""
        there = self._columns
        if "text" in self._table.rows.features:
            return "text"
        if there["messages_column"] or (there["prompt_column"] and there["answer_column"]):
            return "instruction"
        return "preference" if there["chosen_column"] and there["rejected_column"] else "text"

    def read(self, form: Form) -> Iterator[Sample]:
        """Every row. Raises DataError at the first that can't be used."""
        make = self._maker(form)
        for number, row in enumerate(self._table.each(), 1):
            yield make(_Row(self._table.name, number, row))

    def _maker(self, form: Form) -> Callable[[_Row], Sample]:
        there = self._columns
        if form == "preference":
            chosen, rejected = self._needed(form, "chosen_column"), self._needed(form, "rejected_column")
            return lambda row: _preference(row, there["prompt_column"], chosen, rejected)
        if there["messages_column"] and not self._source.prompt_column:
            messages = there["messages_column"]
            return lambda row: _conversation(row, messages, form)
        if form == "prompts" and there["prompt_column"] is None and there["chosen_column"]:
            chosen = there["chosen_column"]
            return lambda row: _conversation(row, chosen, form)
        prompt = self._needed(form, "prompt_column")
        answer = there["answer_column"] if form == "prompts" else self._needed(form, "answer_column")
        return lambda row: _pair(row, prompt, answer)

    def _needed(self, form: Form, field: str) -> str:
        found = self._columns[field]
        if found is None:
            there = ", ".join(self._table.rows.features)
            other = " (or data.messages_column)" if form == "instruction" else ""
            raise DataError(
                f"{self._table.name} has no column {' or '.join(map(repr, USUAL[field]))} for the form {form!r}: set "
                f"data.{field}{other} to one of {there}"
            )
        return found


class _Row:
    """One row, and what is said when it can't be used."""

    def __init__(self, name: str, number: int, values: dict[str, Any]) -> None:
        self.values = values
        self._where = f"row {number:,} of {name}"

    def wrong(self, column: str, problem: str, remedy: str) -> DataError:
        return DataError(f"the column {column!r} {problem} in {self._where}: {remedy}")

    def content(self, column: str) -> str | Messages:
        """Text, or messages that are checked."""
        value = self.values[column]
        if isinstance(value, list):
            return self.messages(column)
        if value is None or value != value or not str(value).strip():
            raise self.wrong(column, "is empty", "fill in or remove such rows")
        if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
            return str(int(value))  # 4 and 4.0, which is what CSV may make of 4
        if not isinstance(value, str):
            kind = type(value).__name__
            raise self.wrong(column, f"holds {kind}, not text or messages", "name another column")
        return value

    def messages(self, column: str) -> Messages:
        value = self.values[column]
        if not isinstance(value, list):
            remedy = "it must be a list of messages with role and content; name another as data.messages_column"
            raise self.wrong(column, f"holds {type(value).__name__}, not a list", remedy)
        if not value:
            raise self.wrong(column, "is empty", "fill in or remove such rows")
        return [self._message(column, message) for message in value]

    def _message(self, column: str, message: Any) -> dict[str, str]:
        role = message.get("role") if isinstance(message, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(role, str) or not isinstance(content, str):
            raise self.wrong(column, "holds a message without role and content", "each needs both, as text")
        if role == "assistant" and not content.strip():
            raise self.wrong(column, "holds an empty answer of the assistant", "fill in or remove such rows")
        return {"role": role, "content": content}


def _pair(row: _Row, prompt_column: str, answer_column: str | None) -> Sample:
    prompt = row.content(prompt_column)
    context = row.values.get(CONTEXT)
    if isinstance(prompt, str) and isinstance(context, str) and context.strip() and answer_column != CONTEXT:
        prompt = f"{prompt}\n\n{context}"
    if answer_column is None:
        return Sample(_key(prompt), prompt)
    prompt, (answer,) = _alike(prompt, row.content(answer_column))
    return Sample(_key(prompt), prompt, (answer,))


def _conversation(row: _Row, column: str, form: Form) -> Sample:
    """An instruction has all turns of the assistant as answers, a prompt the last one, if it ends the conversation."""
    messages = row.messages(column)
    first = next((place for place, message in enumerate(messages) if message["role"] == "assistant"), len(messages))
    if form == "instruction":
        if first == len(messages):
            raise row.wrong(column, "has no turn of the assistant", "add the answers, or remove such rows")
        at = first
    else:
        at = len(messages) - (messages[-1]["role"] == "assistant")
    if at == 0 or first == 0:
        raise row.wrong(column, "begins with the assistant", "put what it answers before it, or remove such rows")
    return Sample(_key(messages[:first]), messages[:at], (messages[at:],) if at < len(messages) else ())


def _preference(row: _Row, prompt_column: str | None, chosen_column: str, rejected_column: str) -> Sample:
    better, worse = row.content(chosen_column), row.content(rejected_column)
    if _is_whole(better) and _is_whole(worse):
        shared = _shared(better, worse)
        if shared in (0, len(better), len(worse)) or better[shared]["role"] != "assistant":
            remedy = "both must share all turns before an answer of the assistant"
            raise row.wrong(rejected_column, f"does not branch off from {chosen_column!r} at an answer", remedy)
        return Sample(_key(better[:shared]), better[:shared], (better[shared:], worse[shared:]))
    if _is_whole(better) != _is_whole(worse):
        raise row.wrong(rejected_column, f"is not like {chosen_column!r}", "give two answers, or two conversations")
    if prompt_column is None:
        raise DataError("preferences need a prompt: set data.prompt_column, or give whole conversations")
    if better == worse:
        raise row.wrong(rejected_column, f"equals {chosen_column!r}", "remove such rows")
    prompt, answers = _alike(row.content(prompt_column), better, worse)
    return Sample(_key(prompt), prompt, answers)


def _is_whole(answer: str | Messages) -> TypeGuard[Messages]:
    """Whether it is a conversation from its beginning, not only what the assistant says."""
    return not isinstance(answer, str) and answer[0]["role"] != "assistant"


def _shared(one: Any, other: Any) -> int:
    return next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
                min(len(one), len(other)))  # fmt: skip


def _alike(prompt: str | Messages, *answers: str | Messages) -> tuple[str | Messages, tuple[str | Messages, ...]]:
    """All as texts, or all as messages where one of them is."""
    if all(isinstance(part, str) for part in (prompt, *answers)):
        return prompt, answers
    return as_messages(prompt, "user"), tuple(as_messages(answer, "assistant") for answer in answers)


def as_messages(content: str | Messages, role: str) -> Messages:
    """A text as the one message of `role`."""
    return [{"role": role, "content": content}] if isinstance(content, str) else content


def _key(prompt: str | Messages) -> str:
    return prompt if isinstance(prompt, str) else json.dumps(prompt)
