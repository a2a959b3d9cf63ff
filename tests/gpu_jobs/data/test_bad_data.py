"""Every way in which data can be wrong ends in one sentence that says what to change."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpu_jobs.engine.data import Data
from gpu_jobs.errors import DataError
from gpu_jobs.sources import BuiltinData, UploadData
from tests.gpu_jobs.data.conftest import path_data, rows_of_topics, write_rows

Load = Callable[..., Data]


def refusal(load: Load, source: Any, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(source, **options)
    return str(caught.value)


def test_a_missing_file(load: Load, tmp_path: Path) -> None:
    message = refusal(load, path_data(tmp_path / "nowhere.txt"))
    assert "data.path: there is no" in message and "nowhere.txt" in message and "correct the path" in message


def test_an_empty_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    assert refusal(load, path_data(tmp_path / "empty.txt")).startswith("data.path 'empty.txt' is empty")


def test_a_table_without_rows(load: Load, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\n")
    assert refusal(load, path_data(tmp_path / "rows.csv")) == "rows.csv has no rows: choose data that do"


def test_a_folder_without_data(load: Load, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "photo.png").write_bytes(b"\x89PNG")
    assert "holds no data: no file in it ends in one of .txt" in refusal(load, path_data(tmp_path / "folder"))


def test_a_folder_of_several_formats(load: Load, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_rows(tmp_path / "folder" / "a.csv", rows_of_topics(5))
    write_rows(tmp_path / "folder" / "b.jsonl", rows_of_topics(5))
    assert "holds csv and jsonl files: say which in data.format" in refusal(load, path_data(tmp_path / "folder"))


def test_bytes_that_are_not_utf8(load: Load, tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 " * 100)
    message = refusal(load, path_data(tmp_path / "latin.txt"))
    assert message.startswith("latin.txt is not UTF-8 text: byte 0xe9 at position 3; convert it")
    (tmp_path / "latin.csv").write_bytes(b"text,label\ncaf\xe9,1\n")
    assert "latin.csv is not UTF-8 text: byte 0xe9" in refusal(load, path_data(tmp_path / "latin.csv"))


def test_a_missing_text_column(load: Load, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", rows_of_topics(5))
    message = refusal(load, path_data(path, text_column="body"))
    assert message == "rows.jsonl has no column 'body': set data.text_column to one of text, label"


def test_a_text_column_of_numbers(load: Load, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.parquet", [{"text": number} for number in range(5)])
    assert "the column 'text' of rows.parquet holds int64, not text" in refusal(load, path_data(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", b'{"text": "a"}\n{"text": \n'),
        ("rows.parquet", b"PAR1 and then nothing of the kind"),
        ("rows.csv", b'a,b\n1,2\n3,4,5,6\n"'),
    ],
)
def test_a_broken_file(load: Load, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    message = refusal(load, path_data(tmp_path / name))
    assert message.startswith(f"{name} can't be read as") and "correct the file, or set data.format" in message


def test_text_too_short_for_the_sequence_length(load: Load, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("\n".join(f"line {number}" for number in range(40)))
    message = refusal(load, path_data(tmp_path / "short.txt"), sequence_length=512)
    assert "fewer than sequence_length 512" in message
    longest = int(message.split("set sequence_length to ")[1].split()[0])
    data = load(path_data(tmp_path / "short.txt"), sequence_length=longest)  # the advice holds
    assert len(data.train) >= 1 and len(data.eval) == 1


def test_text_that_can_not_be_divided(load: Load, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("one line")
    assert "only one distinct sample" in refusal(load, path_data(tmp_path / "one.txt"))


def test_an_upload_that_is_not_there(load: Load) -> None:
    assert refusal(load, UploadData(upload=7)).startswith("upload 7 is not on this worker")


def test_digits_are_not_text_and_text_is_not_images(load: Load, prose: Path) -> None:
    assert "digits are images" in refusal(load, BuiltinData(name="digits"))
    assert "'digits' only" in refusal(load, path_data(prose), task="image_classification")


def test_a_failure_leaves_nothing_in_the_cache(load: Load, tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 " * 100)
    for _ in range(2):
        refusal(load, path_data(tmp_path / "latin.txt"))
    assert not [path for path in (tmp_path / "cache" / "data").iterdir() if path.is_dir()]


@pytest.mark.parametrize("way", ["absolute", "dots", "link", "link inside a folder"])
def test_nothing_outside_the_data_root_is_opened(
    load: Load, tmp_path: Path, prose: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.txt").symlink_to(prose)
    monkeypatch.setenv("HONE_DATA_ROOT", str(root))
    paths = {"absolute": str(prose), "dots": "../prose.txt", "link": "link.txt", "link inside a folder": "."}
    assert "lies outside HONE_DATA_ROOT" in refusal(load, path_data(Path(paths[way])))


def test_a_relative_path_starts_from_the_data_root(
    load: Load, tmp_path: Path, prose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HONE_DATA_ROOT", str(tmp_path))
    assert len(load(path_data(Path("prose.txt"))).train) > 0


def test_a_path_with_a_null_byte_is_refused_like_any_other(load: Load) -> None:
    assert "can't be opened" in refusal(load, path_data(Path(f"a{chr(0)}b.txt")))


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(load: Load, prose: Path) -> None:
    prose.chmod(0)
    assert "can't be read" in refusal(load, path_data(prose))
