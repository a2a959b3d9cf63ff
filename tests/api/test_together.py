"""Points in small requests: those that are right are stored together, and all others get Django's own answer."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.test_ingest import ARROW, ARROW_BODY, pack
from tests.api.world import World
from webapp.accounts import actions as accounts
from webapp.accounts.models import ApiToken
from webapp.api import intake, together
from webapp.api.together import Order
from webapp.metrics import queries
from webapp.metrics.models import PointsKey
from webapp.runs import actions
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True)
LAST = 2**63 - 1


def body(*values: float, **columns: list[Any]) -> bytes:
    return json.dumps({"series": {"new": {"value": list(values), **columns}}}).encode()


def order(run: Run, token: str, sent: bytes, key: str = "a key", **headers: str) -> Order:
    return Order(run.pk, token, {"idempotency-key": key, **headers}, sent)


def token(world: World, name: str = "editor") -> str:
    return accounts.create_token(getattr(world, name), "together")[1]


def runs(world: World, count: int) -> list[Run]:
    return [actions.create_external(project=world.project, user=world.owner, name=str(at)) for at in range(count)]


def values(run: Run, name: str = "new") -> list[float]:
    return queries.raw(run.pk, name).values.tolist() if name in queries.names(run.pk) else []


def test_orders_of_many_runs_are_stored_in_the_statements_of_two(live_world: World) -> None:
    mine, some = token(live_world), runs(live_world, 12)
    together.store([order(run, mine, body(0.0), "before") for run in some])
    with CaptureQueriesContext(connection) as of_two:
        assert together.store([order(run, mine, body(1.0, 2.0)) for run in some[:2]]) == [2, 2]
    with CaptureQueriesContext(connection) as of_ten:
        assert together.store([order(run, mine, body(1.0, 2.0)) for run in some[2:]]) == [2] * 10
    assert len(of_ten) == len(of_two)
    assert all(values(run) == [0.0, 1.0, 2.0] for run in some)
    assert [run.step for run in Run.objects.filter(pk__in=[run.pk for run in some])] == [2] * 12


def test_the_fault_of_one_is_not_the_others(live_world: World) -> None:
    """Five faults that are seen before anything is written, and one that breaks off the transaction."""
    mine, some = token(live_world), runs(live_world, 8)
    together.store([order(some[6], mine, body(1.0, step=[LAST]), "before")])
    ended = actions.finish_external(some[4], status="succeeded")
    orders = [
        order(some[0], mine, body(1.0)),
        order(some[1], token(live_world, "viewer"), body(1.0)),
        order(some[2], token(live_world, "stranger"), body(1.0)),
        order(some[3], "hone_wrong", body(1.0)),
        order(ended, mine, body(1.0)),
        order(some[5], mine, b"{"),
        order(some[6], mine, body(2.0)),  # int64 has no step after its last one
        order(some[7], mine, body(7.0)),
    ]
    assert together.store(orders) == [1, None, None, None, None, None, None, 1]
    assert [values(run) for run in some] == [[1.0], [], [], [], [], [], [1.0], [7.0]]
    assert PointsKey.objects.filter(key="a key").count() == 2


def test_a_key_stores_once(live_world: World) -> None:
    (run,), mine = runs(live_world, 1), token(live_world)
    assert together.store([order(run, mine, body(1.0, 2.0))]) == [2]
    assert together.store([order(run, mine, body(1.0, 2.0))]) == [2]
    assert together.store([order(run, mine, body(3.0))]) == [None]
    assert values(run) == [1.0, 2.0]


@pytest.fixture
def post(server: str, live_world: World) -> Callable[..., httpx.Response]:
    """To the real server; by default a plain request that is right."""
    mine = token(live_world)

    def posted(sent: bytes = b"", run: Run | None = None, query: str = "", **headers: str) -> httpx.Response:
        told = {"Authorization": f"Bearer {mine}", "Idempotency-Key": "a key", "Content-Type": "application/json"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        address = f"{server}/runs/{(run or live_world.external).pk}/metrics{query}"
        return httpx.post(address, content=sent or body(5.0), headers=told, timeout=30)

    return posted


def is_from_django(response: httpx.Response) -> bool:
    return "content-security-policy" in response.headers


@pytest.mark.parametrize(
    ("sent", "headers"),
    [
        (body(1.0, float("inf")).replace(b"Infinity", b'"Infinity"'), {}),
        (gzip.compress(body(1.0, 2.0)), {"Content_Encoding": "gzip"}),
        (pack(ARROW_BODY, "zstd"), {"Content_Encoding": "zstd", "Content_Type": ARROW}),
    ],
    ids=["json", "gzip", "arrow in zstd"],
)
def test_plain_requests_are_answered_without_django(
    sent: bytes, headers: dict[str, str], post: Callable[..., httpx.Response], live_world: World
) -> None:
    answers = [post(sent, **headers) for _ in range(2)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(201, {"points": 2})] * 2
    assert not any(map(is_from_django, answers))
    stored = queries.summaries([live_world.external.pk])[live_world.external.pk]
    assert sum(summary.count for summary in stored.values()) == 4  # two of them were there before


@pytest.mark.parametrize(
    ("scheme", "proxied", "is_plain"), [("http", "", False), ("http", "https", True), ("https", "", True)]
)
def test_where_https_is_asked_for_nothing_else_is_taken(
    scheme: str, proxied: str, is_plain: bool, settings: Any
) -> None:
    settings.SECURE_SSL_REDIRECT, settings.SECURE_PROXY_SSL_HEADER = True, ("HTTP_X_FORWARDED_PROTO", "https")
    told = {"host": "localhost", "authorization": "Bearer x", "idempotency-key": "k", "content-length": "9"}
    headers = [(name.encode(), value.encode()) for name, value in {**told, "x-forwarded-proto": proxied}.items()]
    scope = {"type": "http", "method": "POST", "path": "/api/v1/runs/1/metrics", "query_string": b"", "scheme": scheme}
    assert (intake.plain({**scope, "headers": headers}) is not None) == is_plain


@pytest.mark.parametrize(
    ("status", "change"),
    [
        (401, {"Authorization": "Bearer hone_wrong"}),
        (401, {"Authorization": "Basic eDp5"}),
        (400, {"Host": "elsewhere.example"}),
        (400, {"sent": b"{"}),
        (415, {"Content_Encoding": "br"}),
        (422, {"sent": body(1.0, step=[1, 2])}),
        (422, {"Idempotency_Key": "x" * 201}),
        (422, {"query": "?points=1"}),
        (413, {"sent": gzip.compress(bytes(40 << 20)), "Content_Encoding": "gzip"}),
    ],
    ids=["token", "scheme", "host", "json", "encoding", "lengths", "key", "query", "bomb"],
)
def test_what_is_refused_is_refused_by_django(
    status: int, change: dict[str, Any], post: Callable[..., httpx.Response], live_world: World
) -> None:
    response = post(**change)
    assert response.status_code == status, response.text
    assert is_from_django(response) or status == 400
    assert queries.names(live_world.external.pk) == ["loss"]
    assert not PointsKey.objects.exists()


def test_a_run_that_has_ended_answers_for_a_known_key_only(
    post: Callable[..., httpx.Response], live_world: World
) -> None:
    assert post().status_code == 201
    actions.finish_external(live_world.external, status="succeeded")
    assert post().json() == {"points": 1}
    assert post(Idempotency_Key="another").status_code == 409


@pytest.mark.parametrize(
    ("points", "packed"), [(intake.LARGEST_BODY // 4, False), (together.LARGEST_UNPACKED // 12, True)]
)
def test_large_requests_are_for_django(
    points: int, packed: bool, post: Callable[..., httpx.Response], live_world: World
) -> None:
    sent = body(*[0.123456789] * points)
    response = post(gzip.compress(sent), Content_Encoding="gzip") if packed else post(sent)
    assert (response.status_code, is_from_django(response)) == (201, True)
    assert len(values(live_world.external)) == response.json()["points"] == points


def test_a_revoked_token_stores_nothing_more(post: Callable[..., httpx.Response], live_world: World) -> None:
    assert post().status_code == 201
    ApiToken.objects.all().delete()
    assert post(Idempotency_Key="another").status_code == 401
    assert values(live_world.external) == [5.0]


def test_what_many_send_at_once_is_there_once(post: Callable[..., httpx.Response], live_world: World) -> None:
    """Of four runs; each request is sent twice."""
    some, answers = runs(live_world, 4), list[httpx.Response]()
    sent = [(run, number) for run in some for number in range(10)] * 2

    def work(mine: list[tuple[Run, int]]) -> None:
        answers.extend(post(body(float(n), step=[n]), run=run, Idempotency_Key=str(n)) for run, n in mine)

    threads = [threading.Thread(target=work, args=(sent[at::8],)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(answer.status_code, answer.json()["points"]) for answer in answers} == {(201, 1)}
    assert len(answers) == len(sent)
    assert all(values(run) == list(map(float, range(10))) for run in some)
