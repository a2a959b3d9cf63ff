"""Sequence classification from tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_jobs.engine.data import Data
from gpu_jobs.engine.data.tables import number_classes
from gpu_jobs.errors import DataError
from tests.gpu_jobs.data.conftest import path_data, rows_of_topics, write_rows

Load = Callable[..., Data]
TASK = "sequence_classification"


def samples(split: Any) -> list[tuple[str, int]]:
    """Each text (bytes as characters, marks and padding left out) with its class number."""
    batch = split.batch(np.arange(len(split)))
    ids = np.where(batch["attention_mask"].numpy() == 1, batch["input_ids"].numpy(), 257)
    texts = [bytes(row[row < 256].astype(np.uint8)).decode() for row in ids]
    return list(zip(texts, batch["labels"].tolist(), strict=True))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_every_row_keeps_its_class_on_one_of_the_sides(load: Load, tmp_path: Path, ending: str) -> None:
    rows = rows_of_topics()
    data = load(path_data(write_rows(tmp_path / f"rows.{ending}", rows)), TASK, sequence_length=5000)
    assert data.labels == ["code", "prose"] and len(data.eval) == 12
    expected = {(row["text"], data.labels.index(row["label"])) for row in rows}
    train, evaluation = set(samples(data.train)), set(samples(data.eval))
    assert train | evaluation == expected and not train & evaluation


def test_a_batch_is_as_wide_as_its_longest_text_and_padded_on_the_right(load: Load, tmp_path: Path) -> None:
    rows = [{"text": "ab" * number, "label": number % 2} for number in range(1, 21)]
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), TASK, sequence_length=64)
    batch = data.train.batch(np.array([0, 2]))
    lengths = batch["attention_mask"].sum(1)
    assert batch["input_ids"].shape == (2, lengths.max())
    assert (batch["input_ids"][batch["attention_mask"] == 0] == data.tokenizer.pad_token_id).all()
    assert data.labels == ["0", "1"]


def test_a_long_text_is_cut_but_keeps_its_end_mark(load: Load, tmp_path: Path) -> None:
    rows = rows_of_topics()
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), TASK, sequence_length=16)
    batch = data.train.batch(np.arange(len(data.train)))
    assert batch["input_ids"].shape[1] == 16 and (batch["attention_mask"] == 1).all()
    assert (batch["input_ids"][:, [0, -1]] == data.tokenizer.eos_token_id).all()


def test_numbers_are_ordered_by_size_and_words_by_alphabet() -> None:
    assert number_classes([10, 9, 2.0], None, "label") == ["2", "9", "10"]
    assert number_classes(["b", "a", "10", "9"], None, "label") == ["9", "10", "a", "b"]
    assert number_classes([True, False], None, "label") == ["false", "true"]


def test_evaluation_data_of_their_own_share_the_numbering(load: Load, tmp_path: Path) -> None:
    rows = rows_of_topics()
    train, evaluation = write_rows(tmp_path / "a.csv", rows[:100]), write_rows(tmp_path / "b.csv", rows[100:])
    data = load(path_data(train, eval_path=str(evaluation)), TASK, sequence_length=5000)
    assert len(data.train) == 100 and len(data.eval) == 20
    assert samples(data.eval) == [(row["text"], data.labels.index(row["label"])) for row in rows[100:]]


def refusal(load: Load, path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(path_data(path, **options), TASK)
    return str(caught.value)


def test_a_class_that_training_lacks_is_named(load: Load, tmp_path: Path) -> None:
    train = write_rows(tmp_path / "a.jsonl", rows_of_topics())
    evaluation = write_rows(tmp_path / "b.jsonl", [{"text": "x", "label": "poem"}, {"text": "y", "label": "code"}])
    message = refusal(load, train, eval_path=str(evaluation))
    assert "classes poem, which the training data do not have (code, prose)" in message


def test_a_missing_label_column_is_answered_with_those_there_are(load: Load, tmp_path: Path) -> None:
    rows = [{"text": row["text"], "kind": row["label"]} for row in rows_of_topics(10)]
    message = refusal(load, write_rows(tmp_path / "rows.csv", rows))
    assert message == "rows.csv has no column 'label': set data.label_column to one of text, kind"


def test_rows_without_a_class_are_counted(load: Load, tmp_path: Path) -> None:
    rows = [row | {"label": None if number < 3 else row["label"]} for number, row in enumerate(rows_of_topics(10))]
    for ending in ("csv", "jsonl"):
        assert "is empty in 3 of 10 rows" in refusal(load, write_rows(tmp_path / f"rows.{ending}", rows))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["same"] * 50, "one class only (same)"),
        (list(range(50)), "50 different values in 50 rows, which can't be classes"),
        ([number / 7 for number in range(50)], "holds fractions"),
        ([["a"], ["b"]] * 25, "classes must be words or whole numbers"),
    ],
    ids=["one class", "a key", "fractions", "nested"],
)
def test_a_column_that_can_not_be_classes_is_refused(load: Load, tmp_path: Path, labels: list, words: str) -> None:
    rows = [row | {"label": label} for row, label in zip(rows_of_topics(50), labels, strict=True)]
    assert words in refusal(load, write_rows(tmp_path / "rows.jsonl", rows))


def test_plain_text_has_no_classes(load: Load, prose: Path) -> None:
    assert "needs CSV, JSONL or Parquet with a text and a label column" in refusal(load, prose)
