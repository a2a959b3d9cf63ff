"""Files and words as the command reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone import reading
from hone.errors import HoneError


def read(folder: Path, text: str) -> object:
    (folder / "a.yaml").write_text(text)
    return reading.document(str(folder / "a.yaml"))


def test_exponents_are_numbers_and_times_are_text(tmp_path: Path) -> None:
    text = "a: 1e-3\nb: -2.5E+4\nc: 3\nd: 1e\ne: 2026-12-01T08:00:00+01:00\nf: 2026-12-01\ng: [1e3, true, null]\n"
    assert read(tmp_path, text) == {
        "a": 1e-3, "b": -2.5e4, "c": 3, "d": "1e", "e": "2026-12-01T08:00:00+01:00", "f": "2026-12-01",
        "g": [1e3, True, None],
    }  # fmt: skip


def test_no_yaml_makes_an_object_of_python(tmp_path: Path) -> None:
    with pytest.raises(HoneError, match="could not determine a constructor"):
        read(tmp_path, "a: !!python/object/apply:os.getcwd []")


def test_words_are_json_where_they_can_be() -> None:
    words = ["optimizer.lr=1e-3", "method.name=lora", "flag=true", "text=a=b", 'list=["x"]', "none=null"]
    assert reading.pairs(words) == {
        "optimizer.lr": 1e-3, "method.name": "lora", "flag": True, "text": "a=b", "list": ["x"], "none": None,
    }  # fmt: skip


@pytest.mark.parametrize("word", ["a", "=1", ""])
def test_a_word_without_name_or_value_is_refused(word: str) -> None:
    with pytest.raises(HoneError, match="name=value"):
        reading.pairs([word])
