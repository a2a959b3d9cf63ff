"""The log of a run: from the start, onwards, its end, and by level."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.world import World
from tests.runs import scene
from webapp.runs import actions

LEVELS = ["info", "debug", "warning", "info", "error", "info", "debug"]


@pytest.fixture
def read(world: World) -> Any:
    """Asks for the log of a run that has said one line per level above."""
    attempt = scene.running(where=world.project, user=world.owner)
    lines = [actions.LogEntry(1e9 + number, level, f"line {number}") for number, level in enumerate(LEVELS)]
    actions.logged(attempt, lines)
    client = world.client("viewer")

    def answer(query: str) -> Any:
        return client.get(f"/api/v1/runs/{attempt.run_id}/logs?{query}").json()

    return answer


def messages(answer: Any) -> list[str]:
    return [line["message"] for line in answer["items"]]


def test_a_log_is_read_in_order_piece_by_piece(read: Any) -> None:
    found, cursor = [], ""
    while True:
        piece = read(f"limit=3&cursor={cursor}")
        if not piece["items"]:
            break
        found += messages(piece)
        cursor = piece["next"]
    assert found == [f"line {number}" for number in range(len(LEVELS))]
    assert piece["next"] == cursor  # to be asked again once there is more


def test_the_end_of_a_log_comes_in_order_too(read: Any) -> None:
    assert messages(read("tail=2")) == ["line 5", "line 6"]


def test_a_level_brings_those_above_it_along(read: Any) -> None:
    assert messages(read("level=warning")) == ["line 2", "line 4"]
    assert messages(read("level=info&tail=3")) == ["line 3", "line 4", "line 5"]
    assert {line["attempt"] for line in read("")["items"]} == {1}


@pytest.mark.parametrize(("query", "loc"), [("cursor=x", "cursor"), ("cursor=-1", "cursor"), ("tail=0", "tail"),
                                             ("level=loud", "level"), ("limit=5001", "limit")])  # fmt: skip
def test_a_bad_question_about_a_log_is_named(query: str, loc: str, read: Any) -> None:
    assert read(query)["errors"][0]["loc"] == [loc]
