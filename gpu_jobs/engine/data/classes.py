"""The class numbers of labelled texts."""

from __future__ import annotations

from typing import Any

from gpu_jobs.engine.data.corpus import Classified, Corpus
from gpu_jobs.engine.data.tables import name_of, number_classes
from gpu_jobs.errors import DataError

WORDS = {"train": "training", "eval": "evaluation", "test": "test"}


def number(corpus: Corpus) -> tuple[list[str], dict[str, list[int]]]:
    """The class names, and the class number of each text of "train" and of each side that is held out."""
    table = _table(corpus)
    values = table.classes()
    labels = number_classes(values, table.class_names, table.label_column)
    numbers = {"train": _numbers(values, labels, table, "train")}
    for side, other in corpus.held_out.items():
        numbers[side] = _numbers(_table(other).classes(), labels, _table(other), side)
    return labels, numbers


def _table(corpus: Corpus) -> Classified:
    if corpus.table is None:
        raise DataError(
            f"{corpus.name} has no classes: sequence classification needs CSV, JSONL or Parquet with a text and a "
            "label column"
        )
    return corpus.table


def _numbers(values: list[Any], labels: list[str], table: Classified, side: str) -> list[int]:
    """The class number of each row. Raises DataError for a class that the training data do not have."""
    if table.class_names is not None and all(isinstance(value, int) for value in values):
        return _checked(values, labels, table.label_column)
    number_of = {name: number for number, name in enumerate(labels)}
    names = [name_of(value, table.label_column) for value in values]
    unknown = sorted(set(names) - number_of.keys())
    if unknown:
        raise DataError(
            f"the {WORDS[side]} data hold the classes {', '.join(unknown[:5])}, which the training data do not have "
            f"({', '.join(labels[:10])}): correct the column {table.label_column!r}"
        )
    return [number_of[name] for name in names]


def _checked(values: list[int], labels: list[str], column: str) -> list[int]:
    if values and not 0 <= min(values) <= max(values) < len(labels):
        raise DataError(
            f"the column {column!r} holds numbers from {min(values)} to {max(values)} for {len(labels)} named classes: "
            "choose a split that has its labels"
        )
    return values
