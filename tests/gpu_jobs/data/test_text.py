"""Language modelling: what the packed samples hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest

from gpu_jobs.engine.data import Data, builtin
from gpu_jobs.sources import BuiltinData, UploadData
from tests.gpu_jobs.data.conftest import path_data, rows_of_topics, write_rows

Load = Callable[..., Data]


def rows(split: object) -> np.ndarray:
    return split.batch(np.arange(len(split)))["input_ids"].numpy()  # type: ignore[attr-defined]


def test_labels_are_the_inputs_because_the_model_shifts_them(load: Load, prose: Path) -> None:
    batch = load(path_data(prose)).train.batch(np.array([0, 3, 1]))
    assert set(batch) == {"input_ids", "labels"}
    assert batch["input_ids"].shape == (3, 32) and str(batch["input_ids"].dtype) == "torch.int64"
    assert batch["labels"].equal(batch["input_ids"]) and batch["labels"] is not batch["input_ids"]


def test_both_sides_together_hold_every_byte_of_the_text_once(load: Load, prose: Path) -> None:
    data = load(path_data(prose), sequence_length=1)
    packed = np.concatenate([rows(data.train), rows(data.eval)]).ravel()
    text = np.frombuffer(prose.read_bytes(), np.uint8)
    assert len(packed) == len(text) + 1  # the text and its end
    assert np.array_equal(np.bincount(packed, minlength=258)[:256], np.bincount(text, minlength=256))
    assert data.tokens == len(data.train) and (packed == data.tokenizer.eos_token_id).sum() == 1


def test_decoding_gives_back_the_text(load: Load, tmp_path: Path) -> None:
    texts = ["Grüße, 世界! 🙂\n" * 40, "def f(x):\n\treturn x\n" * 40]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text)
    for tokenizer in ({"name": "byte"}, {"name": "bpe", "vocab": 300}):
        held_out = path_data(tmp_path / "0.txt", eval_path=str(tmp_path / "1.txt"))
        data = load(held_out, tokenizer=tokenizer, sequence_length=1)
        assert data.tokenizer.decode(rows(data.train).ravel(), skip_special_tokens=True) == texts[0]
        assert data.tokenizer.decode(rows(data.eval).ravel(), skip_special_tokens=True) == texts[1]


def test_evaluation_takes_the_share_asked_for(load: Load) -> None:
    for fraction in (0.05, 0.1, 0.5):
        data = load(BuiltinData(eval_fraction=fraction))
        assert len(data.eval) / (len(data.eval) + len(data.train)) == pytest.approx(fraction, abs=0.01)


def test_equal_texts_never_lie_on_both_sides(load: Load, tmp_path: Path) -> None:
    twice = rows_of_topics(60) * 2
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", twice)), sequence_length=1)
    end = data.tokenizer.eos_token_id
    train, evaluation = ("".join(map(chr, rows(side).ravel())).split(chr(end)) for side in (data.train, data.eval))
    assert evaluation[:-1] and not set(train[:-1]) & set(evaluation[:-1])


def test_the_split_does_not_depend_on_the_seed(load: Load, prose: Path) -> None:
    first, second = (load(path_data(prose), seed=seed) for seed in (0, 1))
    assert first.fingerprint == second.fingerprint and np.array_equal(rows(first.eval), rows(second.eval))


def test_a_longer_sequence_reads_the_same_tokens(load: Load, prose: Path) -> None:
    short, long = (rows(load(path_data(prose), sequence_length=length).train).ravel() for length in (32, 64))
    assert np.array_equal(short[: len(long)], long)


def test_the_language_reference_is_all_of_it(load: Load) -> None:
    data = load(BuiltinData(name="language-reference"), sequence_length=1)
    assert len(data.train) + len(data.eval) == sum(len(text.encode()) + 1 for text in topics.values())
    assert data.name == "language-reference" and data.labels is None and data.vocab_size == 258


def test_the_standard_library_is_read_up_to_the_bound_without_its_tests() -> None:
    texts = list(builtin.stdlib_source().texts())
    assert 4_000_000 < sum(map(len, texts)) <= builtin.STDLIB_CHARACTERS
    assert any("class ABCMeta" in text for text in texts) and texts == list(builtin.stdlib_source().texts())
    assert not any("import unittest\n\nclass Test" in text for text in texts)


def test_a_folder_of_text_is_read_in_the_order_of_its_paths(load: Load, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "b").mkdir(parents=True)
    for name, letter in (("b/a.txt", "C"), ("b.md", "B"), ("a.txt", "A"), (".hidden.txt", "H"), ("picture.png", "P")):
        (folder / name).write_text(letter * 600)
    other = tmp_path / "other.txt"
    other.write_text("x" * 100)
    packed = rows(load(path_data(folder, eval_path=str(other)), sequence_length=1).train).ravel()
    assert "".join(map(chr, packed[packed < 256])) == "A" * 600 + "B" * 600 + "C" * 600


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_every_format_gives_the_same_tokens(load: Load, tmp_path: Path, ending: str) -> None:
    samples = rows_of_topics(30)
    data = load(path_data(write_rows(tmp_path / f"rows.{ending}", samples)), sequence_length=1)
    assert len(data.train) + len(data.eval) == sum(len(row["text"].encode()) + 1 for row in samples)


def test_local_files_are_read_without_a_network(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"tried to reach {arguments[1:]}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    for ending in ("csv", "jsonl", "parquet"):
        assert len(load(path_data(write_rows(tmp_path / f"rows.{ending}", rows_of_topics(30)))).train) > 0


def test_an_upload_without_an_ending_is_recognised_by_its_first_bytes(
    load: Load, tmp_path: Path, context: object
) -> None:
    samples = rows_of_topics(30)
    count = sum(len(row["text"].encode()) + 1 for row in samples)
    for number, ending in enumerate(("jsonl", "parquet")):
        path = write_rows(tmp_path / f"rows.{ending}", samples).rename(tmp_path / f"blob{number}")
        context.inputs[f"upload:{number + 1}"] = path  # type: ignore[attr-defined]
        data = load(UploadData(upload=number + 1), sequence_length=1)
        assert len(data.train) + len(data.eval) == count


def test_a_named_column_is_used(load: Load, tmp_path: Path) -> None:
    samples = [{"body": row["text"], "title": "the same title"} for row in rows_of_topics(30)]
    path = write_rows(tmp_path / "rows.csv", samples)
    data = load(path_data(path, text_column="body"), sequence_length=1)
    assert len(data.train) + len(data.eval) == sum(len(row["body"].encode()) + 1 for row in samples)


def test_the_only_column_of_text_needs_no_name(load: Load, tmp_path: Path) -> None:
    samples = [{"number": 1, "body": row["text"], "label": "x"} for row in rows_of_topics(30)]
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", samples)), sequence_length=1)
    assert len(data.train) + len(data.eval) == sum(len(row["body"].encode()) + 1 for row in samples)


def test_special_tokens_spelled_out_in_the_text_stay_text(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "sly.txt"
    path.write_text("".join(f"line {number} <|endoftext|> <|pad|>\n" for number in range(400)))
    for tokenizer in ({"name": "byte"}, {"name": "bpe", "vocab": 300}):
        data = load(path_data(path), tokenizer=tokenizer, sequence_length=1)
        packed = np.concatenate([rows(data.train), rows(data.eval)]).ravel()
        assert (packed >= data.vocab_size - 2).sum() == 1  # the one end of the one text


def test_a_base_models_tokenizer_is_used_as_it_is(load: Load, prose: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    theirs = load(BuiltinData(), tokenizer={"name": "bpe", "vocab": 600}).tokenizer
    assert isinstance(theirs, PreTrainedTokenizerFast)
    data = load(path_data(prose), tokenizer=theirs, sequence_length=1)
    assert data.tokenizer is theirs and data.vocab_size == 600
    whole = theirs(prose.read_text(), split_special_tokens=True)["input_ids"]
    assert data.tokens + len(data.eval) == pytest.approx(len(whole), rel=0.02)  # sections are cut at line ends
