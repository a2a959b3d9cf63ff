"""`HONE_STORAGE_URL` chooses where bytes lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from webapp.runs.storage import ArtifactStorage, BlobFiles


def test_a_file_url_is_a_folder(settings) -> None:
    settings.STORAGE_URL = "file:///srv/hone%20data/blobs"
    storage = ArtifactStorage()
    assert isinstance(storage, BlobFiles) and storage.folder == Path("/srv/hone data/blobs")


def test_an_s3_url_is_a_bucket_with_a_prefix_an_endpoint_and_a_region(settings) -> None:
    settings.STORAGE_URL = "s3://models/hone/prod?endpoint=https://minio.lan:9000&region=eu-central-1"
    storage = ArtifactStorage()
    assert type(storage).__name__ == "S3Storage"
    assert (storage.bucket_name, storage.location) == ("models", "hone/prod")
    assert (storage.endpoint_url, storage.region_name) == ("https://minio.lan:9000", "eu-central-1")
    assert storage.file_overwrite is True


@pytest.mark.parametrize(
    "url", ["", "/srv/blobs", "ftp://host/x", "file://host/x", "s3:///prefix", "s3://bucket?colour=red"]
)
def test_any_other_url_is_refused(settings, url) -> None:
    settings.STORAGE_URL = url
    with pytest.raises(ImproperlyConfigured, match="HONE_STORAGE_URL"):
        ArtifactStorage()


def test_a_password_in_a_refused_url_is_not_repeated(settings) -> None:
    settings.STORAGE_URL = "ftp://user:hunter2@host/x"
    with pytest.raises(ImproperlyConfigured) as caught:
        ArtifactStorage()
    assert "hunter2" not in str(caught.value)
