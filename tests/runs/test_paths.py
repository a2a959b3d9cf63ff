"""Artifact paths never lead out of a folder, on any host."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.runs.errors import PathRefused
from webapp.runs.paths import confined, file_name


@pytest.mark.parametrize(
    "path", ["model.safetensors", "checkpoints/step-400/optimizer.pt", "a b/ü.txt", "..a/b..", ".x"]
)
def test_ordinary_paths_stay_as_they_are(path) -> None:
    assert confined(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/a", "..", "../a", "a/..", "a/../b", ".", "./a", "a//b", "a/", "a\\b", "..\\a", "C:\\a", "C:a"),
        *("a\x00b", "a\nb", "a\x7fb", "x" * 401, "ü" * 128),
    ],
)
def test_paths_that_could_lead_out_or_not_be_stored_are_refused(path) -> None:
    with pytest.raises(PathRefused):
        confined(path)


@given(st.text(alphabet=st.sampled_from("a./\\:~\x00 C"), max_size=12))
def test_whatever_is_accepted_lies_under_the_folder_it_is_joined_to(path) -> None:
    try:
        confined(path)
    except PathRefused:
        return
    base = Path("/base/folder")
    assert base in Path(f"{base}/{path}").resolve().parents
    assert not PurePosixPath(path).is_absolute() and not PureWindowsPath(path).drive


@pytest.mark.parametrize(
    ("told", "name"),
    [("data.csv", "data.csv"), ("C:\\Users\\me\\data.csv", "data.csv"), ("../../etc/passwd", "passwd"), ("a/b", "b")],
)
def test_an_upload_is_called_by_the_last_part_of_its_name(told, name) -> None:
    assert file_name(told) == name


@pytest.mark.parametrize("told", ["", "..", "a/..", "a/", "\x00", "."])
def test_an_upload_without_a_usable_name_is_refused(told) -> None:
    with pytest.raises(PathRefused):
        file_name(told)
