"""Built once, whole or not at all, whoever asks at the same time."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_jobs.engine.data import Data, cache
from gpu_jobs.sources import BuiltinData
from tests.gpu_jobs.data.conftest import path_data, rows_of_topics, write_rows

Load = Callable[..., Data]


def build_slowly(root: str, log: str) -> None:
    def build(folder: Path) -> None:
        with Path(log).open("a") as file:
            file.write("built\n")
        (folder / "first").write_text("1")
        time.sleep(0.3)
        (folder / "second").write_text("2")

    made = cache.folder(Path(root), "key", build)
    assert sorted(path.name for path in made.iterdir()) == ["first", "second"]


def test_processes_that_ask_together_build_once_and_see_it_whole(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    arguments = (str(tmp_path / "cache"), str(tmp_path / "log"))
    processes = [fork.Process(target=build_slowly, args=arguments) for _ in range(5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 5
    assert (tmp_path / "log").read_text() == "built\n"


def test_a_builder_that_is_killed_leaves_the_key_free(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=build_slowly, args=(str(tmp_path / "cache"), str(tmp_path / "log"))
    )
    process.start()
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    assert not (tmp_path / "cache" / "key").exists()
    build_slowly(str(tmp_path / "cache"), str(tmp_path / "log"))


def test_what_a_killed_builder_left_is_removed_a_day_later(tmp_path: Path) -> None:
    (tmp_path / ".building-old").mkdir()
    (tmp_path / ".building-new").mkdir()
    os.utime(tmp_path / ".building-old", (0, time.time() - cache.ABANDONED_S - 1))
    cache.folder(tmp_path, "key", lambda folder: None)
    assert {path.name for path in tmp_path.iterdir()} == {"key", "key.lock", ".building-new"}


def test_a_build_that_fails_is_tried_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise KeyError("no")

    with pytest.raises(KeyError):
        cache.folder(tmp_path, "key", fail)
    assert cache.folder(tmp_path, "key", lambda folder: None).is_dir()


def test_a_changed_file_is_read_again(load: Load, prose: Path) -> None:
    first = load(path_data(prose))
    os.utime(prose)
    assert load(path_data(prose)).fingerprint == first.fingerprint  # another time, the same content
    prose.write_text(prose.read_text()[::-1])
    assert load(path_data(prose)).fingerprint != first.fingerprint


def test_the_hash_of_a_large_file_is_remembered_until_it_changes(tmp_path: Path) -> None:
    path, root = tmp_path / "large", tmp_path / "cache"
    path.write_bytes(b"a" * cache.REMEMBERED_BYTES)
    first = cache.digest_of(path, root)
    assert first == hashlib.sha256(b"a" * cache.REMEMBERED_BYTES).hexdigest() == cache.digest_of(path, root)
    assert len(list((root / "digests").iterdir())) == 1
    path.write_bytes(b"b" * cache.REMEMBERED_BYTES)
    os.utime(path, ns=(0, path.stat().st_mtime_ns))
    assert cache.digest_of(path, root) == hashlib.sha256(b"b" * cache.REMEMBERED_BYTES).hexdigest()


def test_a_copy_under_another_name_is_not_tokenised_again(load: Load, prose: Path, tmp_path: Path) -> None:
    first = load(path_data(prose))
    (tmp_path / "copy.txt").write_bytes(prose.read_bytes())
    assert load(path_data(tmp_path / "copy.txt")).fingerprint == first.fingerprint
    assert len([path for path in (tmp_path / "cache" / "data").iterdir() if path.is_dir()]) == 1


def test_what_changes_the_tokens_changes_the_fingerprint(load: Load, tmp_path: Path) -> None:
    rows = [row | {"body": row["text"].upper()} for row in rows_of_topics(40)]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    seen = [
        load(path_data(path)),
        load(path_data(path, text_column="body")),
        load(path_data(path, eval_fraction=0.3)),
        load(path_data(path), tokenizer={"name": "bpe", "vocab": 300}),
        load(path_data(path), task="sequence_classification"),
    ]
    assert len({data.fingerprint for data in seen}) == len(seen)


def test_the_sequence_length_and_the_seed_share_one_packed_file(load: Load) -> None:
    seen = {load(BuiltinData(), sequence_length=length, seed=length).fingerprint for length in (8, 64, 512)}
    assert len(seen) == 1


def test_the_copy_that_datasets_makes_is_removed(load: Load, tmp_path: Path) -> None:
    load(path_data(write_rows(tmp_path / "rows.csv", rows_of_topics(40))))
    assert not list((tmp_path / "cache" / "reading").iterdir())
