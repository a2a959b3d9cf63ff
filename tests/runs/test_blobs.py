"""Content-addressed storage: written once, atomic, verified, and confined to its folder."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages

from tests.runs import scene
from webapp.runs import blobs
from webapp.runs.errors import BlobCorrupt, BlobMissing, TooLarge
from webapp.runs.models import Blob
from webapp.runs.storage import BlobFiles

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path, settings) -> Path:
    """A storage of its own for each test."""
    settings.STORAGE_URL = f"file://{tmp_path / 'blobs'}"
    settings.STORAGES = {**settings.STORAGES}
    return tmp_path / "blobs"


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3_000_000))
    return path


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_stored_file_lies_under_its_hash_and_only_its_owner_may_read_it(file, folder) -> None:
    blob = blobs.store(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (blob.sha256, blob.size) == (digest, 3_000_000)
    [path] = files(folder)
    assert path == folder / digest[:2] / digest[2:4] / digest
    assert path.read_bytes() == file.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(parent.stat().st_mode) for parent in (folder, *path.parents[:2])} == {0o700}


def test_the_same_bytes_are_stored_once(file, folder, tmp_path) -> None:
    first = blobs.store(file)
    [path] = files(folder)
    inode = path.stat().st_ino
    assert blobs.store(file) == first
    assert blobs.store_stream([file.read_bytes()]) == first
    assert files(folder) == [path] and path.stat().st_ino == inode
    assert Blob.objects.count() == 1


def test_bytes_that_vanished_from_the_storage_are_stored_again(file, folder) -> None:
    blobs.store(file)
    files(folder)[0].unlink()
    blob = blobs.store(file)
    assert b"".join(blobs.verified(blob)) == file.read_bytes()


def test_a_stream_is_hashed_as_it_comes(folder) -> None:
    blob = blobs.store_stream(iter([b"ab", b"", b"c"]))
    assert (blob.sha256, blob.size) == (hashlib.sha256(b"abc").hexdigest(), 3)


def test_a_stream_over_the_limit_is_refused_and_leaves_nothing(folder, settings) -> None:
    seen = []

    def chunks():
        for _ in range(1000):
            seen.append(1)
            yield b"x" * 100

    with pytest.raises(TooLarge, match="limit of 250 bytes"):
        blobs.store_stream(chunks(), limit=250)
    assert len(seen) == 3  # it stopped reading at once
    assert files(folder) == [] and not Blob.objects.exists()
    settings.MAX_UPLOAD_BYTES = 5
    with pytest.raises(TooLarge):
        blobs.store_stream([b"123456"])
    assert blobs.store_stream([b"12345"]).size == 5


def test_an_empty_file_is_a_blob_like_any_other(tmp_path) -> None:
    (tmp_path / "empty").touch()
    blob = blobs.store(tmp_path / "empty")
    blobs.fetch(blob, tmp_path / "copy")
    assert (blob.size, (tmp_path / "copy").read_bytes()) == (0, b"")


def test_a_fetched_file_is_complete(file, tmp_path) -> None:
    blob = blobs.store(file)
    blobs.fetch(blob, tmp_path / "deep" / "er" / "copy")
    assert (tmp_path / "deep" / "er" / "copy").read_bytes() == file.read_bytes()
    with blobs.open_blob(blob) as opened:
        assert opened.read() == file.read_bytes()


def test_a_corrupt_blob_is_noticed_and_no_file_is_left(file, folder, tmp_path) -> None:
    blob = blobs.store(file)
    [path] = files(folder)
    with path.open("r+b") as damaged:
        damaged.seek(1_500_000)
        damaged.write(b"!!!!")
    target = tmp_path / "out" / "copy"
    with pytest.raises(BlobCorrupt, match=blob.sha256):
        blobs.fetch(blob, target)
    assert list(target.parent.iterdir()) == []


def test_a_missing_blob_is_named(file, folder, tmp_path) -> None:
    blob = blobs.store(file)
    files(folder)[0].unlink()
    with pytest.raises(BlobMissing, match=blob.sha256):
        blobs.fetch(blob, tmp_path / "copy")


def test_a_write_that_fails_leaves_neither_a_file_nor_a_row(folder) -> None:
    class Broken(ContentFile):
        def chunks(self, chunk_size=None):
            yield b"half"
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        default_storage.save("ab/cd/abcd", Broken(b""))
    assert files(folder) == []


def test_names_can_not_leave_the_folder(folder) -> None:
    assert isinstance(storages["default"], BlobFiles)
    with pytest.raises(Exception, match=r"(?i)traversal|outside|suspicious"):
        default_storage.save("../../evil", ContentFile(b"x"))
    assert not (folder.parent.parent / "evil").exists()


@pytest.mark.django_db(transaction=True)
def test_many_who_store_the_same_bytes_at_once_get_one_blob(file, folder) -> None:
    results = scene.in_threads([lambda: blobs.store(file)] * 6)
    assert len({blob.sha256 for blob in results}) == 1
    assert len(files(folder)) == 1 and Blob.objects.count() == 1
