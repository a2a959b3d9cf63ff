"""Small real files, and a context whose cache is new."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest

from gpu_jobs.context import Context
from gpu_jobs.engine import data
from gpu_jobs.engine.data import Data
from gpu_jobs.sources import PathData


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(work_dir=tmp_path / "work", cache_dir=tmp_path / "cache")


@pytest.fixture
def load(context: Context) -> Callable[..., Data]:
    """`load(source, ...)` with what most tests want: language modelling of bytes, 32 at a time."""

    def load(source: Any, task: str = "causal_lm", tokenizer: Any = None, **options: Any) -> Data:
        given = {"sequence_length": 32, "seed": 0, "context": context} | options
        return data.load(source, task=task, tokenizer=tokenizer or {"name": "byte"}, **given)

    return load


@pytest.fixture
def prose(tmp_path: Path) -> Path:
    """A text file of 20,000 characters of English."""
    path = tmp_path / "prose.txt"
    path.write_text("".join(topics[name] for name in sorted(topics))[:20_000])
    return path


def rows_of_topics(count: int = 120) -> list[dict[str, Any]]:
    """Paragraphs of the language reference, classed by whether they hold a code sample: real text, real classes."""
    paragraphs = sorted({part.strip() for text in topics.values() for part in text.split("\n\n") if len(part) > 40})
    chosen = paragraphs[:: len(paragraphs) // count][:count]
    return [{"text": part, "label": "code" if "::" in part or ">>>" in part else "prose"} for part in chosen]


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """The rows in the format that the file's ending names."""
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def path_data(path: Path, **options: Any) -> PathData:
    return PathData(path=str(path), **options)
