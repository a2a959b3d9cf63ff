"""Bodies and downloads over a real server: limited before they reach the disk, never collected in memory."""

from __future__ import annotations

import json
import socket
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from tests.api.test_events import headers_of
from tests.api.world import World
from webapp.api import limits
from webapp.runs import blobs
from webapp.runs.models import Artifact, Upload

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 1 << 20


def endless(piece: bytes, pieces: int) -> Iterator[bytes]:
    for _ in range(pieces):
        yield piece


@pytest.fixture
def small(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MAX_UPLOAD_BYTES = MIB
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    monkeypatch.setattr(limits, "FORM_FRAME_BYTES", 0)


@pytest.mark.parametrize("path", ["/projects", "/projects/alpha/uploads?name=a"])
def test_a_body_announced_too_large_is_refused_unread(path: str, small: None, server: str, live_world: World) -> None:
    host, port = urlsplit(server).netloc.split(":")
    token = headers_of(live_world, "owner")["Authorization"]
    head = (
        f"POST /api/v1{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {token}\r\nContent-Length: {50 * MIB}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head.encode())
        answer = connection.makefile("rb").read().decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert set(json.loads(answer.partition("\r\n\r\n")[2])) == {"detail", "errors"}


def test_a_body_that_grows_too_large_is_cut_off(small: None, server: str, live_world: World) -> None:
    headers = headers_of(live_world, "owner")
    try:
        response = httpx.post(
            f"{server}/projects/alpha/uploads?name=a", headers=headers, content=endless(b"x" * MIB, 8)
        )
    except (httpx.WriteError, httpx.ReadError):  # the server has answered and hung up while we still wrote
        response = None
    assert response is None or response.status_code == 413
    assert not Upload.objects.exists()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer hone_wrong"}, {"Cookie": "sessionid=wrong"}])
def test_nobody_fills_the_disk_before_being_refused(
    headers: dict[str, str], small: None, server: str, live_world: World
) -> None:
    url = f"{server}/projects/alpha/uploads?name=a"
    assert httpx.post(url, headers=headers, content=b"x" * 2000).status_code == 413
    assert httpx.post(url, headers=headers, content=b"x").status_code == 401


def test_a_signed_in_browser_may_send_a_file(small: None, server: str, live_world: World) -> None:
    browser = Client()
    browser.force_login(live_world.editor, backend="django.contrib.auth.backends.ModelBackend")
    cookies = {name: morsel.value for name, morsel in browser.cookies.items()}
    response = httpx.post(f"{server}/projects/alpha/uploads?name=a", cookies=cookies, content=b"x" * 2000)
    assert response.status_code == 403, "it is let in up to the missing CSRF token"


def test_an_upload_within_the_limit_arrives_whole(small: None, server: str, live_world: World) -> None:
    headers = headers_of(live_world, "editor")
    response = httpx.post(
        f"{server}/projects/alpha/uploads?name=a", headers=headers, content=endless(b"x" * 1024, 1024)
    )
    assert (response.status_code, response.json()["size"]) == (201, MIB)


def test_a_download_is_streamed_in_pieces(server: str, live_world: World) -> None:
    content = bytes(range(256)) * (5 * MIB // 256)
    blob = blobs.store_stream(iter([content]))
    Artifact.objects.create(run=live_world.run, path="out/big.bin", folder="out", type="file", blob=blob)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Django warns when it collects a plain iterator
        url = f"{server}/runs/{live_world.run.pk}/artifacts/out/big.bin"
        response = httpx.get(url, headers=headers_of(live_world))
    assert response.content == content
    assert response.headers["content-length"] == str(len(content))


def test_the_addresses_that_take_files_are_those_that_exist() -> None:
    taken = [reverse("run-new", args=["alpha"]), reverse("api:upload_file", args=["alpha"])]
    for path in taken:
        assert limits.limit_of(path) > settings.MAX_UPLOAD_BYTES, path
    assert limits.limit_of(reverse("runs", args=["alpha"])) < settings.MAX_UPLOAD_BYTES
