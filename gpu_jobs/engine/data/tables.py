"""Rows of CSV, JSONL and Parquet files and of hub data sets, read through Hugging Face `datasets`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from gpu_jobs.engine.data.files import Files, undecodable
from gpu_jobs.errors import DataError

READ_AT_A_TIME = 1000


class Table:
    """A data set that is opened when its first row is asked for, and the columns that hold text and class."""

    def __init__(self, name: str, load: Callable[[], Any], text_column: str | None, label_column: str | None) -> None:
        self.name = name
        self._load = load
        self._text_column = text_column
        self._label_column = label_column

    @cached_property
    def rows(self) -> Any:
        """The `datasets.Dataset`. Raises DataError when it has no rows."""
        rows = self._load()
        if not len(rows):
            raise no_rows(self.name)
        return rows

    @cached_property
    def text_column(self) -> str:
        columns = self.rows.features
        wanted = self._text_column
        if wanted is None:
            textual = [name for name in columns if self._is_text(name) and name != (self._label_column or "label")]
            wanted = "text" if "text" in columns or len(textual) != 1 else textual[0]
        self.require(wanted, "text_column")
        if not self._is_text(wanted):
            kind = getattr(columns[wanted], "dtype", None) or type(columns[wanted]).__name__
            raise DataError(
                f"the column {wanted!r} of {self.name} holds {kind}, not text: set data.text_column to one that does"
            )
        return wanted

    @cached_property
    def label_column(self) -> str:
        wanted = self._label_column or "label"
        self.require(wanted, "label_column")
        return wanted

    def _is_text(self, name: str) -> bool:
        return getattr(self.rows.features[name], "dtype", None) in ("string", "large_string")

    def require(self, name: str, field: str) -> None:
        """Raises DataError when there is no such column."""
        if name not in self.rows.features:
            there = ", ".join(self.rows.features)
            raise DataError(f"{self.name} has no column {name!r}: set data.{field} to one of {there}")

    def _column(self, name: str) -> Iterator[Any]:
        only = self.rows.select_columns([name])
        for start in range(0, len(only), READ_AT_A_TIME):
            yield from only[start : start + READ_AT_A_TIME][name]

    def each(self) -> Iterator[dict[str, Any]]:
        """Every row, by column."""
        for start in range(0, len(self.rows), READ_AT_A_TIME):
            columns = self.rows[start : start + READ_AT_A_TIME]
            yield from (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))

    def texts(self) -> Iterator[str]:
        """The text of each row; an empty cell is an empty text."""
        return (text or "" for text in self._column(self.text_column))

    def classes(self) -> list[Any]:
        """The class of each row. Raises DataError when a cell is empty."""
        values = list(self._column(self.label_column))
        empty = sum(value is None or value != value for value in values)  # NaN is what CSV makes of an empty cell
        if empty:
            raise DataError(
                f"the column {self.label_column!r} of {self.name} is empty in {empty:,} of {len(values):,} rows: fill "
                "in or remove these rows"
            )
        return values

    @property
    def class_names(self) -> list[str] | None:
        """The names behind the numbers, where the data set says them."""
        return getattr(self.rows.features[self.label_column], "names", None)


def no_rows(name: str) -> DataError:
    """For a table with nothing below its header."""
    return DataError(f"{name} has no rows: choose data that do")


def open_files(files: Files, scratch: Path) -> Any:
    """The rows of local files. The copy that `datasets` makes lies in `scratch` for as long as they are used."""
    from datasets import Dataset
    from datasets.exceptions import DatasetGenerationError

    readers = {"csv": Dataset.from_csv, "jsonl": Dataset.from_json, "parquet": Dataset.from_parquet}
    options = {"sep": "\t"} if files.format == "csv" and files.paths[0].suffix.lower() == ".tsv" else {}
    scratch.mkdir(parents=True, exist_ok=True)
    folder = tempfile.TemporaryDirectory(dir=scratch)
    try:
        with _quiet():
            rows = readers[files.format]([str(path) for path in files.paths], cache_dir=folder.name, **options)
    except (DatasetGenerationError, ValueError, OSError, KeyError) as error:
        raise _unreadable(files, error) from error
    rows.folder = folder  # removed when the rows are no longer used
    return rows


def _unreadable(files: Files, error: BaseException) -> DataError:
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, UnicodeDecodeError):
        return undecodable(files.name, cause)
    if "corresponds to no data" in str(cause):  # how `datasets` says that no row came
        return no_rows(files.name)
    reason = " ".join(str(cause).split())[:300] or type(cause).__name__
    return DataError(f"{files.name} can't be read as {files.format}: {reason}; correct the file, or set data.format")


class _quiet:  # noqa: N801 - reads as a block
    """No progress bars on standard error, where a job's log goes."""

    def __enter__(self) -> None:
        import datasets

        self._were_on = datasets.is_progress_bar_enabled()
        datasets.disable_progress_bars()

    def __exit__(self, *_: object) -> None:
        import datasets

        if self._were_on:
            datasets.enable_progress_bars()


def number_classes(values: Sequence[Any], names: Sequence[str] | None, column: str) -> list[str]:
    """The class names in the order of their numbers: as given, else numbers by size and words by alphabet.

    Raises DataError when there are fewer than two classes, or so many that the column can't be one of classes.
    """
    if names is not None:
        return list(names)
    distinct = {name_of(value, column) for value in values}
    if len(distinct) < 2:
        raise DataError(
            f"the column {column!r} holds one class only ({distinct.pop()}): classification needs two or more"
        )
    if len(distinct) > 20 and len(distinct) * 2 > len(values):
        raise DataError(
            f"the column {column!r} holds {len(distinct):,} different values in {len(values):,} rows, which can't be "
            "classes: set data.label_column to another"
        )
    return sorted(distinct, key=lambda name: (not _is_number(name), int(name) if _is_number(name) else 0, name))


def _is_number(name: str) -> bool:
    return name.removeprefix("-").isdecimal()


def name_of(value: Any, column: str) -> str:
    """What a class is called: "3" for 3 and for 3.0. Raises DataError for fractions and nested values."""
    if isinstance(value, float):
        if not value.is_integer():
            raise DataError(f"the column {column!r} holds fractions ({value}): classification needs classes")
        value = int(value)
    if not isinstance(value, bool | int | str):
        raise DataError(
            f"the column {column!r} holds {type(value).__name__} values: classes must be words or whole numbers"
        )
    return str(value).lower() if isinstance(value, bool) else str(value)
