"""Lines of points that wait while the server is busy are sent as one request, in their order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hone import columns, delivery
from hone.delivery import gathered
from hone.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal.create(tmp_path, {"url": "", "body": {}, "id": 1})
    yield made
    made.close()


def write(journal: Journal, *rows: columns.Row) -> None:
    for _, body in columns.bodies(iter(rows)):
        journal.append("points", body)


def series(body: bytes) -> dict[str, list[tuple[int, object]]]:
    found = json.loads(body)["series"]
    return {name: list(zip(each["step"], each["value"], strict=True)) for name, each in found.items()}


def test_lines_that_wait_are_one_and_what_comes_after_stays(journal: Journal) -> None:
    write(journal, (0, 1.0, {"a": 1.0}), (1, 2.0, {"a": 2.0, "b": float("nan")}))
    write(journal, (1, 3.0, {"a": 3.0}))
    write(journal, (2, 4.0, {"c": float("inf")}))
    journal.append("file", "{}")
    write(journal, (3, 5.0, {"a": 9.0}))
    first = journal.next()
    assert first is not None
    together = gathered(first, journal)
    assert series(together.body) == {"a": [(0, 1.0), (1, 2.0), (1, 3.0)], "b": [(1, "NaN")], "c": [(2, "Infinity")]}
    assert together.key != first.key
    journal.took(together)
    rest = [journal.next()]
    assert rest[0] is not None and rest[0].kind == "file"
    assert gathered(rest[0], journal) is rest[0]


def test_a_line_alone_is_sent_as_it_is(journal: Journal) -> None:
    write(journal, (0, 1.0, {"a": 1.0}))
    first = journal.next()
    assert first is not None and gathered(first, journal) is first


def test_more_than_one_request_may_hold_is_not_put_together(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    write(journal, (0, 1.0, {f"m{number}": 1.0 for number in range(columns.MOST_SERIES)}))
    write(journal, (1, 2.0, {"another": 1.0}))
    first = journal.next()
    assert first is not None and gathered(first, journal) is first
    monkeypatch.setattr(delivery, "MOST_BYTES_TOGETHER", 10)
    assert gathered(first, journal) is first
