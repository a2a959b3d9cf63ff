"""Media over HTTP: what is sent comes back as it was, never as anything but a picture."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.api.world import World, post
from tests.metrics import pictures

pytestmark = pytest.mark.django_db
HISTOGRAM = {"edges": [0, 0.5, 2], "counts": [3, 4]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> None:
    settings.STORAGE_URL = f"file://{tmp_path / 'blobs'}"
    settings.STORAGES = {**settings.STORAGES}


def image(data: bytes, name: str = "eval/samples", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": base64.b64encode(data).decode(), **more}


def send(world: World, *items: dict[str, Any], key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    path = f"/api/v1/runs/{world.external.pk}/media"
    return world.client("editor").post(path, {"items": items}, content_type="application/json", headers=headers)


def get(world: World, path: str, **headers: str) -> Any:
    return world.client("viewer").get(f"/api/v1/runs/{world.external.pk}{path}", headers=headers)


def test_a_picture_comes_back_as_itself_and_can_be_nothing_else(world: World) -> None:
    data = pictures.png(3, 2)
    answer = send(world, image(data, step=5, time=12.5, caption="a cat"))
    assert (answer.status_code, answer.json()) == (201, {"items": 1})
    shown = get(world, "/media/eval/samples?step=7")
    assert b"".join(shown.streaming_content) == data
    assert (shown["Content-Type"], shown["Hone-Step"], shown["Content-Length"]) == ("image/png", "5", str(len(data)))
    assert shown["X-Content-Type-Options"] == "nosniff"
    assert shown["Content-Security-Policy"] == "default-src 'none'; sandbox"
    again = get(world, "/media/eval/samples", **{"If-None-Match": shown["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert shown["Cache-Control"] == "private, no-cache"
    this = get(world, f"/media/eval/samples?sha256={shown['ETag'].strip(chr(34))}")
    assert b"".join(this.streaming_content) == data and "immutable" in this["Cache-Control"]
    assert get(world, f"/media/eval/samples?sha256={'0' * 64}").status_code == 404
    [facts] = get(world, "/media-items?name=eval/samples").json()["items"]
    assert facts == {
        "step": 5, "time": 12.5, "caption": "a cat", "format": "png", "width": 3, "height": 2, "size": len(data),
        "sha256": shown["ETag"].strip('"'),
    }  # fmt: skip


def test_a_picture_that_is_a_page_at_once_is_still_sent_as_a_picture(world: World) -> None:
    data = pictures.gif(9, 9) + b"<script>alert(1)</script>"
    assert send(world, image(data)).status_code == 201
    shown = get(world, "/media/eval/samples")
    assert (shown["Content-Type"], shown["X-Content-Type-Options"]) == ("image/gif", "nosniff")
    assert "sandbox" in shown["Content-Security-Policy"]


def test_a_histogram_comes_back_as_numbers(world: World) -> None:
    assert send(world, {"name": "w", "step": 2, "time": 1.0, "histogram": HISTOGRAM}).status_code == 201
    assert get(world, "/media/w").json() == {"name": "w", "step": 2, "time": 1.0, "caption": "", **HISTOGRAM}


def test_the_series_are_listed_with_their_steps(world: World) -> None:
    send(world, *({"name": "w", "step": step, "histogram": HISTOGRAM} for step in (9, 3)), image(pictures.png(1, 1)))
    assert get(world, "/media").json() == {
        "items": [
            {"name": "eval/samples", "kind": "image", "count": 1, "steps": [0]},
            {"name": "w", "kind": "histogram", "count": 2, "steps": [3, 9]},
        ],
        "next": None,
    }


def test_what_is_not_there_is_a_sentence(world: World) -> None:
    send(world, {"name": "w", "step": 5, "histogram": HISTOGRAM})
    for path, says in {"/media/w?step=4": "at or before step 4", "/media/x": "no media 'x'"}.items():
        answer = get(world, path)
        assert answer.status_code == 404 and says in answer.json()["detail"]
    assert get(world, "/media/..%2f..%2fetc%2fpasswd").status_code == 404
    assert get(world, "/media-items?name=x").json()["items"] == []


GOOD = {"name": "w", "histogram": HISTOGRAM}
REFUSED: list[tuple[Any, list[Any], str]] = [
    ({"items": []}, ["items"], "at least 1"),
    ({"items": [GOOD] * 65}, ["items"], "at most 64"),
    ({"items": [{**GOOD, "name": ""}]}, ["items", 0, "name"], "must not be empty"),
    ({"items": [GOOD, {**GOOD, "name": "x" * 251}]}, ["items", 1, "name"], "at most 250 characters"),
    ({"items": [{"name": "w"}]}, ["items", 0], "either an image or a histogram"),
    ({"items": [{**GOOD, "image": ""}]}, ["items", 0], "either an image or a histogram"),
    ({"items": [{**GOOD, "step": -1}]}, ["items", 0, "step"], "-1"),
    ({"items": [{**GOOD, "step": 1.5}]}, ["items", 0, "step"], "1.5"),
    ({"items": [{**GOOD, "step": 2**63}]}, ["items", 0, "step"], "9223372036854775808"),
    ({"items": [{**GOOD, "time": 1e12}]}, ["items", 0, "time"], "100000000000"),
    ({"items": [{**GOOD, "caption": "x" * 1001}]}, ["items", 0, "caption"], "at most 1,000 characters"),
    ({"items": [{**GOOD, "colour": "red"}]}, ["items", 0, "colour"], ""),
    ({"items": [{"name": "w", "histogram": {"edges": [0, 1], "counts": [1, 2]}}]},
     ["items", 0, "histogram", "edges"], "one more than bins"),
    ({"items": [{"name": "w", "image": "***"}]}, ["items", 0, "image"], ""),
    ({"items": [image(b"<svg/>")]}, ["items", 0, "image"], "must be PNG, JPEG, GIF or WebP"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "loc", "says"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_named_and_nothing_is_kept(body: Any, loc: list[Any], says: str, world: World) -> None:
    answer = post(world.client("editor"), f"/runs/{world.external.pk}/media", body)
    assert answer.status_code == 422, answer.content
    [error] = answer.json()["errors"]
    assert error["loc"] == loc and says in error["msg"]
    assert get(world, "/media").json()["items"] == []


def test_a_key_stands_for_one_request(world: World) -> None:
    for _ in range(2):
        assert send(world, {**GOOD, "caption": "one"}, key="k").json() == {"items": 1}
    assert send(world, {**GOOD, "caption": "two"}, key="k").status_code == 422
    assert len(get(world, "/media-items?name=w").json()["items"]) == 1


def test_a_run_that_has_ended_takes_no_media(world: World) -> None:
    send(world, GOOD, key="k")
    post(world.client("editor"), f"/runs/{world.external.pk}/finish", {"status": "succeeded"})
    answer = send(world, GOOD)
    assert answer.status_code == 409 and "has ended" in answer.json()["detail"]
    assert send(world, GOOD, key="k").status_code == 201, "what was stored before is known still"
    assert post(world.client("editor"), f"/runs/{world.run.pk}/media", {"items": [GOOD]}).status_code == 409


@pytest.mark.parametrize("name", ["..", ".", "../../etc/passwd", "a/./b", "a/.."])
def test_a_name_that_a_browser_would_not_ask_for_is_refused(world: World, name: str) -> None:
    answer = send(world, image(pictures.png(1, 1), name))
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["loc"] == ["items", 0, "name"] and repr(name) in error["msg"]
    assert send(world, image(pictures.png(1, 1), name.replace(".", "x."))).status_code == 201


@pytest.mark.parametrize("told", ["***", "abc", "é"])
def test_what_is_no_base64_is_refused_as_that(world: World, told: str) -> None:
    [error] = send(world, {"name": "a", "image": told}).json()["errors"]
    assert error["loc"] == ["items", 0, "image"] and "base64" in error["msg"]


def test_base64_may_stand_in_lines(world: World) -> None:
    data = pictures.png(9, 9)
    assert send(world, {"name": "a", "image": base64.encodebytes(data).decode()}).status_code == 201
    assert b"".join(get(world, "/media/a").streaming_content) == data


def test_a_thumbnail_is_asked_for_like_the_picture(world: World, tmp_path: Path, settings: Any) -> None:
    from PIL import Image

    settings.HONE_HOME = tmp_path
    out = BytesIO()
    Image.effect_noise((1200, 600), 80).save(out, "PNG")
    send(world, image(out.getvalue(), step=3), image(pictures.png(9, 9), "small"))
    shown = get(world, "/media/eval/samples?thumbnail=true")
    assert (shown["Content-Type"], shown["Hone-Step"]) == ("image/webp", "3")
    assert Image.open(BytesIO(shown.content)).size == (512, 256)
    assert "sandbox" in shown["Content-Security-Policy"] and shown["X-Content-Type-Options"] == "nosniff"
    whole = get(world, "/media/eval/samples")
    assert whole["ETag"] != shown["ETag"] and whole["Content-Type"] == "image/png"
    again = get(world, "/media/eval/samples?thumbnail=true", **{"If-None-Match": shown["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert get(world, "/media/small?thumbnail=true")["Content-Type"] == "image/png"
    path = f"/api/v1/runs/{world.external.pk}/media/eval/samples?thumbnail=true"
    assert world.client("stranger").get(path).status_code == 404
