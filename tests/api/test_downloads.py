"""Files out and files in: streamed, confined, limited."""

from __future__ import annotations

import hashlib
import io
import tarfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.api.test_metrics import body
from tests.api.world import World
from webapp.runs.blobs import open_blob
from webapp.runs.models import Blob, Upload

HOSTILE = [
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "model/../model/config.json",
    "model//config.json",
    "C:%5Cwindows",
    "%2e%2e/secret-key",
]


def test_a_file_is_sent_as_an_attachment_that_no_browser_interprets(world: World) -> None:
    response = world.client("viewer").get(f"/api/v1/runs/{world.trained.pk}/artifacts/model/config.json")
    content = body(response)
    assert response["Content-Disposition"] == 'attachment; filename="config.json"'
    assert response["Content-Type"] == "application/octet-stream"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Length"] == str(len(content))
    listed = world.client("viewer").get(f"/api/v1/runs/{world.trained.pk}/artifacts").json()["items"]
    (entry,) = (item for item in listed if item["path"] == "model/config.json")
    assert (entry["sha256"], entry["size"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert entry["url"] == f"http://testserver/api/v1/runs/{world.trained.pk}/artifacts/model/config.json"


@pytest.mark.parametrize("folder", ["model", "model/"])
def test_a_folder_is_sent_as_a_tar_archive(folder: str, world: World) -> None:
    response = world.client("viewer").get(f"/api/v1/runs/{world.trained.pk}/artifacts/{folder}")
    assert response["Content-Disposition"] == f'attachment; filename="run-{world.trained.pk}-model.tar"'
    with tarfile.open(fileobj=io.BytesIO(body(response))) as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    stored = {item.path: open_blob(item.blob).read() for item in world.trained.artifacts.all()}
    assert members == stored
    assert set(members) == {"model/config.json", "model/model.safetensors"}


@pytest.mark.parametrize("path", HOSTILE)
def test_no_path_leads_out_of_a_run(path: str, world: World) -> None:
    response = world.client("owner").get(f"/api/v1/runs/{world.trained.pk}/artifacts/{path}")
    assert response.status_code == 404


def test_raw_bytes_become_an_upload(world: World) -> None:
    client = world.client("editor")
    response = client.post(
        "/api/v1/projects/alpha/uploads?name=a.txt", b"text\x00", content_type="application/octet-stream"
    )
    assert response.status_code == 201
    told = response.json()
    assert (told["name"], told["size"], told["created_by"]) == ("a.txt", 5, "editor")
    assert told["sha256"] == hashlib.sha256(b"text\x00").hexdigest()
    assert open_blob(Blob.objects.get(pk=told["sha256"])).read() == b"text\x00"
    assert world.client("viewer").get("/api/v1/projects/alpha/uploads").json()["items"] == [told]
    assert client.delete(f"/api/v1/projects/alpha/uploads/{told['id']}").status_code == 204


def test_a_form_becomes_an_upload(world: World) -> None:
    form = {"file": SimpleUploadedFile("rows.csv", b"a,b\n1,2\n")}
    response = world.client("editor").post("/api/v1/projects/alpha/uploads", form)
    assert (response.status_code, response.json()["name"], response.json()["size"]) == (201, "rows.csv", 8)


@pytest.mark.parametrize(
    ("path", "data", "kind", "status"),
    [
        ("?name=a.txt", b"x" * 11, "application/octet-stream", 413),
        ("", b"x", "application/octet-stream", 422),
        ("?name=..", b"x", "application/octet-stream", 422),
        ("?name=" + "n" * 300, b"x", "application/octet-stream", 422),
        ("?name=a%00", b"x", "application/octet-stream", 422),
        ("", b"nonsense", "multipart/form-data; boundary=x", 422),
        ("", b"nonsense", "multipart/form-data", 400),
    ],
)
def test_a_bad_upload_leaves_nothing(
    path: str, data: bytes, kind: str, status: int, world: World, settings: Any
) -> None:
    settings.MAX_UPLOAD_BYTES = 10
    response = world.client("editor").post(f"/api/v1/projects/alpha/uploads{path}", data, content_type=kind)
    assert response.status_code == status, response.content
    assert set(response.json()) == {"detail", "errors"}
    assert not Upload.objects.exists()


def test_a_path_in_a_file_name_is_cut_off(world: World) -> None:
    form = {"file": SimpleUploadedFile("x", b"1")}
    response = world.client("editor").post("/api/v1/projects/alpha/uploads?name=../../etc/passwd", form)
    assert response.json()["name"] == "passwd"
