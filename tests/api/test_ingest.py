"""Points over HTTP: JSON and Arrow, packed or not, once for each key, and no bomb goes off."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.test_events import headers_of
from tests.api.world import World
from tests.metrics.runs import make_run
from tests.metrics.test_arrow import stream
from webapp.api.packing import inflate
from webapp.metrics import actions as metrics
from webapp.metrics import queries
from webapp.metrics.errors import Invalid
from webapp.metrics.models import PointsKey
from webapp.runs import actions

ARROW = "application/vnd.apache.arrow.stream"
BODY = {"series": {"loss": {"step": [3, 4], "value": [2.0, "NaN"], "time": [5.0, 6.5]}}}
TABLE = pa.table({"name": ["loss", "loss"], "step": [3, 4], "value": [2.0, float("nan")], "time": [5.0, 6.5]})
JSON_BODY, ARROW_BODY = json.dumps(BODY).encode(), stream(TABLE)


def pack(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(body)
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as packed:
        packed.write(body)
    return bytes(out.getvalue())


@pytest.fixture
def send(world: World) -> Callable[..., Any]:
    client = world.client("editor")

    def post(body: bytes, content_type: str = "application/json", **headers: str) -> Any:
        address = f"/api/v1/runs/{world.external.pk}/metrics"
        return client.post(address, body, content_type=content_type, headers=headers)

    return post


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "zstd"])
@pytest.mark.parametrize(("body", "content_type"), [(JSON_BODY, "application/json"), (ARROW_BODY, ARROW)])
def test_points_come_in_every_form(
    body: bytes, content_type: str, encoding: str, send: Callable[..., Any], world: World
) -> None:
    packed = pack(body, encoding) if encoding in ("gzip", "zstd") else body
    response = send(packed, content_type, **({"Content-Encoding": encoding} if encoding else {}))
    assert (response.status_code, response.json()) == (201, {"points": 2})
    points = queries.raw(world.external.pk, "loss")
    assert points.steps.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(points.values, [4.0, 3.0, 2.0, np.nan])
    assert points.times.tolist() == [10.0, 11.0, 5.0, 6.5]


def test_a_bad_series_is_refused_whole_with_its_name(send: Callable[..., Any], world: World) -> None:
    bad = {"series": {"good": {"value": [1]}, "bad": {"value": [1, 2], "step": [1]}}}
    response = send(json.dumps(bad).encode())
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["series", "bad", "step"]
    table = pa.table({"name": ["good", "bad"], "value": [1.0, None]})
    response = send(stream(table), ARROW)
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["series", "bad", "value", 0]
    assert queries.names(world.external.pk) == ["loss"]


@pytest.mark.parametrize(
    ("body", "content_type", "headers", "status"),
    [
        (b"{", "application/json", {}, 400),
        (b"[1]", "application/json", {}, 422),
        (b'{"series": {}, "extra": 1}', "application/json", {}, 422),
        (b"not arrow", ARROW, {}, 422),
        (JSON_BODY, "application/json", {"Content-Encoding": "br"}, 415),
        (JSON_BODY, "application/json", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(JSON_BODY)[:-9], "application/json", {"Content-Encoding": "gzip"}, 400),
        (JSON_BODY, "application/json", {"Content-Encoding": "zstd"}, 400),
        (JSON_BODY, "application/json", {"Idempotency-Key": "x" * 201}, 422),
        (JSON_BODY, "application/json", {"Idempotency-Key": "é"}, 422),
    ],
    ids=range(10),
)
def test_what_cannot_be_read_is_refused(
    body: bytes, content_type: str, headers: dict[str, str], status: int, send: Callable[..., Any], world: World
) -> None:
    response = send(body, content_type, **headers)
    assert response.status_code == status, response.content
    assert response.json()["detail"]
    assert queries.summaries([world.external.pk])[world.external.pk]["loss"].count == 2


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_is_inflated(encoding: str, send: Callable[..., Any], settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
    bomb = pack(b" " * 200_000_000, encoding)
    assert len(bomb) < 300_000
    before = pa.default_memory_pool().max_memory()
    response = send(bomb, **{"Content-Encoding": encoding})
    assert response.status_code == 413 and "1,000,000 bytes once it is unpacked" in response.json()["detail"]
    assert pa.default_memory_pool().max_memory() - before < 50_000_000


@given(st.binary(max_size=3000), st.sampled_from(["gzip", "zstd"]), st.integers(0, 4000))
def test_a_body_is_unpacked_up_to_its_limit_and_no_further(body: bytes, encoding: str, limit: int) -> None:
    from webapp.api.errors import TooLarge

    if len(body) <= limit:
        assert inflate(pack(body, encoding), encoding, limit) == body
    else:
        with pytest.raises(TooLarge):
            inflate(pack(body, encoding), encoding, limit)


def test_the_same_key_stores_once_and_says_the_same(send: Callable[..., Any], world: World) -> None:
    body = json.dumps({"series": {"loss": {"value": [1.0, 2.0]}}}).encode()
    for _ in range(3):  # without steps, each of them would be appended
        response = send(body, **{"Idempotency-Key": "k"})
        assert (response.status_code, response.json()) == (201, {"points": 2})
    packed = send(gzip.compress(body), **{"Idempotency-Key": "k", "Content-Encoding": "gzip"})
    assert packed.status_code == 201, "how it was packed on the way does not make another request of it"
    assert queries.raw(world.external.pk, "loss").steps.tolist() == [1, 2, 3, 4]
    assert send(body, **{"Idempotency-Key": "other"}).json() == {"points": 2}
    assert len(queries.raw(world.external.pk, "loss").steps) == 6


def test_a_key_with_another_body_is_refused(send: Callable[..., Any], world: World) -> None:
    send(JSON_BODY, **{"Idempotency-Key": "k"})
    response = send(ARROW_BODY, ARROW, **{"Idempotency-Key": "k"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["Idempotency-Key"]
    assert "another body" in response.json()["detail"]


def test_a_refused_request_leaves_its_key_free(send: Callable[..., Any], world: World) -> None:
    assert send(b'{"series": {"loss": {"value": ["x"]}}}', **{"Idempotency-Key": "k"}).status_code == 422
    assert send(JSON_BODY, **{"Idempotency-Key": "k"}).status_code == 201


def test_a_known_key_is_answered_after_the_run_has_ended_too(send: Callable[..., Any], world: World) -> None:
    send(JSON_BODY, **{"Idempotency-Key": "k"})
    actions.finish_external(world.external, "succeeded")
    assert send(JSON_BODY, **{"Idempotency-Key": "k"}).json() == {"points": 2}
    assert send(JSON_BODY, **{"Idempotency-Key": "new"}).status_code == 409


def test_one_key_in_two_runs_is_two_keys(world: World) -> None:
    client = world.client("editor")
    for run in (world.external, actions.create_external(project=world.project, user=None, name="second")):
        address = f"/api/v1/runs/{run.pk}/metrics"
        response = client.post(address, BODY, content_type="application/json", headers={"Idempotency-Key": "k"})
        assert response.status_code == 201
        assert queries.raw(run.pk, "loss").steps.tolist()[-2:] == [3, 4]


@pytest.mark.django_db(transaction=True)
def test_two_requests_that_race_with_one_key_store_once(server: str, live_world: World) -> None:
    run = live_world.external
    address, answers, together = f"{server}/runs/{run.pk}/metrics", [], threading.Barrier(4)
    headers = headers_of(live_world, "editor") | {"Idempotency-Key": "race"}
    body = {"series": {f"m{number}": {"value": list(range(300))} for number in range(20)}}

    def post() -> None:
        with httpx.Client(headers=headers, timeout=30) as client:
            together.wait()
            answers.append(client.post(address, json=body))

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(answer.status_code, answer.json()) for answer in answers] == [(201, {"points": 6000})] * 4
    assert all(len(queries.raw(run.pk, f"m{number}").steps) == 300 for number in range(20))


batches = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.booleans()), max_size=12)


@given(batches)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_often_requests_are_sent_again_each_counts_once(db: None, given: list[tuple[int, int, bool]]) -> None:
    """A request is a key with its number of points; some break off after the store and before the commit."""
    from django.db import transaction

    class BrokenOffError(Exception):
        pass

    run, sizes, expected = make_run(), {}, 0
    for key, size, breaks in given:
        known = key in sizes and sizes[key] != size
        columns = {"loss": metrics.external.Columns(None, np.full(size, float(key)), None)}
        try:
            with transaction.atomic():
                assert metrics.log_once(run, str(key), str(size).encode(), lambda columns=columns: columns) == size
                if breaks:
                    raise BrokenOffError
        except BrokenOffError:
            continue
        except Invalid:
            assert known
            continue
        expected += size if key not in sizes else 0
        sizes[key] = size
    stored = queries.raw(run.pk, "loss").steps.tolist() if expected else []
    assert stored == list(range(expected))


def test_old_keys_are_forgotten(db: None) -> None:
    from datetime import timedelta

    from django.db.models.functions import Now

    from webapp.metrics import keys

    run = make_run()
    columns = {"loss": metrics.external.Columns(None, np.zeros(1), None)}
    for number in range(keys.CLEANED_EVERY):
        metrics.log_once(run, f"old {number}", b"", lambda: columns)
    PointsKey.objects.filter(run=run).update(created_at=Now() - timedelta(hours=25))
    for number in range(keys.CLEANED_EVERY):
        metrics.log_once(run, f"new {number}", b"", lambda: columns)
    assert not PointsKey.objects.filter(run=run, key__startswith="old").exists()
    assert PointsKey.objects.filter(run=run).count() == keys.CLEANED_EVERY
