"""The test split: apart from training and evaluation, the same for all, and absent unless asked for."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_jobs.engine.data import Data, cache
from gpu_jobs.engine.data.division import divide
from gpu_jobs.errors import DataError
from gpu_jobs.sources import BuiltinData
from tests.gpu_jobs.data.conftest import path_data, rows_of_topics, write_rows

Load = Callable[..., Data]
TASK = "sequence_classification"
DIGITS = "image_classification"


def texts(split: Any) -> list[str]:
    """Each text of a classified split, read as bytes."""
    batch = split.batch(np.arange(len(split)))
    ids = np.where(batch["attention_mask"].numpy() == 1, batch["input_ids"].numpy(), 257)
    return [bytes(row[row < 256].astype(np.uint8)).decode() for row in ids]


def tokens(split: Any) -> np.ndarray:
    return split.batch(np.arange(len(split)))["input_ids"].numpy().ravel()


def images(split: Any) -> set[bytes]:
    return {image.tobytes() for image in split.batch(np.arange(len(split)))["pixel_values"].numpy()}


@pytest.mark.parametrize("seed", range(40))
def test_every_digest_has_one_side_and_equal_ones_the_same(seed):
    rng = np.random.default_rng(seed)
    shares = {"eval": rng.uniform(0.01, 0.5), "test": rng.uniform(0.01, 0.5)}
    distinct = rng.integers(0, 2**64 - 1, rng.integers(3, 60), dtype=np.uint64, endpoint=True)
    digests = rng.choice(np.concatenate([distinct, distinct]), 300)
    digests = np.concatenate([digests, distinct])
    weights = rng.integers(1, 100, len(digests))
    division = divide(digests, weights, shares)
    sides = np.array([division.side(int(digest)) for digest in digests])
    assert set(sides) == {"train", "eval", "test"}
    assert digests[sides == "eval"].max() < digests[sides == "train"].min()
    assert digests[sides == "train"].max() < digests[sides == "test"].min()
    heaviest = np.bincount(np.unique(digests, return_inverse=True)[1], weights=weights).max()
    total, rest = weights.sum(), weights[sides != "test"].sum()
    assert abs(weights[sides == "test"].sum() - shares["test"] * total) <= heaviest
    assert abs(weights[sides == "eval"].sum() - shares["eval"] * rest) <= heaviest


def test_the_largest_and_the_smallest_digest_have_a_side():
    digests = np.array([0, 2**63, 2**64 - 1], np.uint64)
    division = divide(digests, np.ones(3, np.int64), {"eval": 0.3, "test": 0.3})
    assert [division.side(int(digest)) for digest in digests] == ["eval", "train", "test"]


def test_too_few_distinct_samples_for_three_sides_are_an_error():
    with pytest.raises(DataError, match="only one distinct sample"):
        divide(np.array([1, 2], np.uint64), np.ones(2, np.int64), {"eval": 0.1, "test": 0.1})


def test_a_test_split_takes_its_share_and_evaluation_its_share_of_the_rest(load: Load):
    data = load(BuiltinData(test_fraction=0.2, eval_fraction=0.25), sequence_length=8)
    assert data.test is not None
    total = len(data.train) + len(data.eval) + len(data.test)
    assert len(data.test) / total == pytest.approx(0.2, abs=0.02)
    assert len(data.eval) / (total - len(data.test)) == pytest.approx(0.25, abs=0.02)


def test_all_three_sides_together_hold_every_byte_of_the_text_once(load: Load, prose: Path):
    data = load(path_data(prose, test_fraction=0.2), sequence_length=1)
    assert data.test is not None
    packed = np.concatenate([tokens(data.train), tokens(data.eval), tokens(data.test)])
    text = np.frombuffer(prose.read_bytes(), np.uint8)
    assert np.array_equal(np.bincount(packed, minlength=258)[:256], np.bincount(text, minlength=256))


def test_the_tokenizer_is_trained_on_none_of_the_test(load: Load, tmp_path: Path):
    """A word that only the test holds is no token, however often it stands there."""
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    train.write_text("".join(f"line {number} of plain words\n" for number in range(400)))
    test.write_text("Zyx" * 2000)
    data = load(path_data(train, test_path=str(test)), tokenizer={"name": "bpe", "vocab": 300})
    assert data.test is not None and "Zy" not in data.tokenizer.get_vocab()


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_equal_texts_with_classes_lie_on_one_side_only(load: Load, tmp_path: Path, ending: str):
    rows = rows_of_topics() * 2
    path = write_rows(tmp_path / f"rows.{ending}", rows)
    data = load(path_data(path, test_fraction=0.2), TASK, sequence_length=5000)
    sides = [texts(split) for split in (data.train, data.eval, data.test)]
    assert sorted(itertools.chain(*sides)) == sorted(row["text"] for row in rows)
    train, evaluation, test = map(set, sides)
    assert test and evaluation
    assert not train & evaluation and not train & test and not evaluation & test


def test_images_of_the_test_are_in_no_other_split(load: Load):
    data = load(BuiltinData(name="digits", test_fraction=0.2), DIGITS)
    assert data.test is not None and len(data.test) == pytest.approx(0.2 * 1797, abs=2)
    assert len(data.eval) == pytest.approx(0.1 * (1797 - len(data.test)), abs=2)
    assert len(data.train) + len(data.eval) + len(data.test) == 1797
    train, evaluation, test = images(data.train), images(data.eval), images(data.test)
    assert not train & evaluation and not train & test and not evaluation & test
    again = load(BuiltinData(name="digits", test_fraction=0.2), DIGITS)
    assert again.test is not None and images(again.test) == test


def test_the_test_is_the_same_for_every_seed_and_evaluation_fraction(load: Load, prose: Path):
    """So that what was chosen by other evaluation data is reported on the same test."""
    wanted = [load(path_data(prose, test_fraction=0.2, eval_fraction=share), seed=seed).test
              for seed, share in ((0, 0.1), (1, 0.3))]  # fmt: skip
    assert np.array_equal(tokens(wanted[0]), tokens(wanted[1]))


def test_named_data_are_the_test_and_nothing_is_cut_off(load: Load, tmp_path: Path):
    rows = rows_of_topics()
    train, test = write_rows(tmp_path / "a.csv", rows[:100]), write_rows(tmp_path / "b.csv", rows[100:])
    data = load(path_data(train, test_path=str(test), test_fraction=0.4), TASK, sequence_length=5000)
    assert data.test is not None and texts(data.test) == [row["text"] for row in rows[100:]]
    assert len(data.train) + len(data.eval) == 100 and len(data.eval) == 10


def test_a_test_can_be_cut_off_where_evaluation_data_are_named(load: Load, tmp_path: Path):
    rows = rows_of_topics()
    train, evaluation = write_rows(tmp_path / "a.csv", rows[:100]), write_rows(tmp_path / "b.csv", rows[100:])
    data = load(path_data(train, eval_path=str(evaluation), test_fraction=0.2), TASK, sequence_length=5000)
    assert data.test is not None and texts(data.eval) == [row["text"] for row in rows[100:]]
    assert len(data.test) == 20 and len(data.train) == 80


def test_a_class_of_the_test_that_training_lacks_is_named(load: Load, tmp_path: Path):
    train = write_rows(tmp_path / "a.jsonl", rows_of_topics())
    test = write_rows(tmp_path / "b.jsonl", [{"text": "x", "label": "poem"}, {"text": "y", "label": "code"}])
    with pytest.raises(DataError, match="the test data hold the classes poem, which the training data do not have"):
        load(path_data(train, test_path=str(test)), TASK)


def test_a_test_shorter_than_a_sample_says_what_to_change(load: Load, prose: Path):
    with pytest.raises(DataError, match=r"the test part of prose.txt .* change data.test_fraction \(now 0.01\)"):
        load(path_data(prose, test_fraction=0.01), sequence_length=400)


def test_a_test_file_that_is_missing_or_empty_is_named(load: Load, prose: Path, tmp_path: Path):
    path = tmp_path / "other.txt"
    for reason in ("there is no", "is empty"):
        with pytest.raises(DataError, match=r"data\.test_path.* .*other\.txt") as caught:
            load(path_data(prose, test_path=str(path)))
        assert reason in str(caught.value)
        path.touch()


def test_without_a_test_the_key_hangs_on_what_it_always_did(load: Load, prose: Path):
    """Caches, fingerprints and checkpoints of runs without a test split stay good."""
    data = load(path_data(prose, eval_fraction=0.2))
    content = hashlib.sha256("\n".join(["text", hashlib.sha256(prose.read_bytes()).hexdigest()]).encode()).hexdigest()
    parts = {"format": 1, "task": "causal_lm", "content": content, "held_out": None, "tokenizer": {"name": "byte"},
             "eval_fraction": 0.2}  # fmt: skip
    assert data.fingerprint == cache.key_of(parts)[:16]
    assert data.test is None and set(data.splits()) == {"train", "eval"}


def test_what_changes_the_test_changes_the_fingerprint(load: Load, prose: Path, tmp_path: Path):
    other = tmp_path / "other.txt"
    other.write_text("x" * 2000)
    given: list[dict[str, Any]] = [{}, {"test_fraction": 0.1}, {"test_fraction": 0.2}, {"test_path": str(other)}]
    found = {load(path_data(prose, **options)).fingerprint for options in given}
    other.write_text("y" * 2000)
    found.add(load(path_data(prose, test_path=str(other))).fingerprint)
    assert len(found) == 5
