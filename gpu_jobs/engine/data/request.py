"""What is asked of the data, with everything decided that a spec leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

from gpu_jobs.context import Context
from gpu_jobs.engine.data import cache
from gpu_jobs.engine.data.chat import template_of
from gpu_jobs.engine.data.corpus import Corpus
from gpu_jobs.errors import DataError
from gpu_jobs.sources import Data as DataOptions
from gpu_jobs.sources import Form

Packing: TypeAlias = Literal["joined", "isolated", "none"]
FORMS: tuple[Form, ...] = get_args(Form)  # text before instructions before preferences
FIELDS: dict[Form, str] = {
    "text": "data.text_column",
    "instruction": "data.prompt_column and data.answer_column, or in data.messages_column",
    "preference": "data.prompt_column, data.chosen_column and data.rejected_column",
    "prompts": "data.prompt_column",
}


@dataclass(frozen=True)
class Request:
    """`template` renders messages; None where the form is text. `has_template` says that the source names it."""

    source: DataOptions
    task: str
    tokenizer: Any
    sequence_length: int
    form: Form
    packing: Packing
    template: str | None
    has_template: bool


def decide(
    source: DataOptions,
    corpus: Corpus,
    context: Context,
    *,
    task: str,
    tokenizer: Any,
    sequence_length: int,
    form: Form | Literal["auto"],
    packing: Packing | Literal["auto"],
) -> Request:
    """Raises DataError where the task, the form, the packing and the data do not fit each other."""
    found = _form(form, source, corpus, context, task)
    template = None if found == "text" else template_of(tokenizer, source.chat_template)
    used = _packing(packing, found, task)
    given = source.chat_template is not None
    return Request(source, task, tokenizer, sequence_length, found, used, template, given)


def _form(form: Form | Literal["auto"], source: DataOptions, corpus: Corpus, context: Context, task: str) -> Form:
    if form != "auto" and form not in FORMS:
        raise DataError(f"form {form!r} is unknown: choose auto, {', '.join(FORMS)}")
    if task != "causal_lm":
        if form not in ("auto", "text"):
            raise DataError(f"task {task!r} reads text: form {form!r} is for task 'causal_lm'")
        form = "text"
    known = source.forms()
    if form == "auto":
        return next(name for name in FORMS if name in known) if known else _recognised(corpus, context)
    if known is not None and form not in known and not (form == "text" and corpus.table):
        there = " and ".join(sorted(known))
        raise DataError(
            f"{corpus.name} gives {there}, not {form}: choose other data, or name columns in {FIELDS[form]}"
        )
    return form


def _recognised(corpus: Corpus, context: Context) -> Form:
    """What the table's columns say, remembered by its content: a warm start does not open it."""
    if corpus.samples is None:
        return "text"
    note = context.cache_dir / "forms" / cache.key_of({"content": corpus.digest, "columns": corpus.columns})
    if note.is_file() and note.read_text() in FORMS:
        return cast("Form", note.read_text())
    form = corpus.samples.form()
    cache.write_atomically(note, form)
    return form


def _packing(packing: Packing | Literal["auto"], form: Form, task: str) -> Packing:
    if form == "instruction":
        if packing == "joined":
            raise DataError("packing 'joined' cuts text anywhere: choose isolated or none for instructions")
        return "isolated" if packing == "auto" else packing
    if form != "text" or task == "sequence_classification":
        return "none"  # one a row, whatever is asked
    if packing == "isolated" and task == "masked_lm":
        raise DataError("packing 'isolated' is for models that read from left to right: choose joined or none")
    return "joined" if packing == "auto" else packing
