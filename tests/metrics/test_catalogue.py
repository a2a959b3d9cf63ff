"""The names of a run's metrics as a tree, a few at a time."""

from __future__ import annotations

import pytest

from webapp.metrics import catalogue, store
from webapp.metrics.points import Points
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db
NAMES = ["a/b/c", "a/b/d", "a/e", "a/f", "ab", "a", "100%/x", "100x/y"]


@pytest.fixture
def logged(run: Run) -> Run:
    store.append(run.id, dict.fromkeys(NAMES, Points.of([1], [1.0], [1.0])))
    return run


def test_branches_and_leaves_are_one_level_of_the_tree(logged: Run) -> None:
    assert catalogue.branches(logged.pk) == [("100%", 1), ("100x", 1), ("a", 4)]
    assert catalogue.leaves(logged.pk) == (["a", "ab"], 2, False)
    assert catalogue.branches(logged.pk, "a") == [("a/b", 2)]
    assert catalogue.branches(logged.pk, "a")[0].label == "b"
    assert catalogue.leaves(logged.pk, "a").names == ["a/e", "a/f"]
    assert catalogue.below(logged.pk, "a").names == ["a/b/c", "a/b/d", "a/e", "a/f"]
    assert catalogue.below(logged.pk, "100%").names == ["100%/x"]  # no pattern
    assert catalogue.count(logged.pk) == len(NAMES)


def test_names_come_page_by_page(logged: Run) -> None:
    seen, after, has_more = [], "", True
    while has_more:
        some = catalogue.find(logged.pk, after=after, limit=3)
        seen += some.names
        has_more, after = some.has_more, some.names[-1]
    assert seen == sorted(NAMES)


def test_every_word_must_be_in_the_name(logged: Run) -> None:
    assert catalogue.find(logged.pk, "A/ C").names == ["a/b/c"]
    assert catalogue.find(logged.pk, "0%").names == ["100%/x"]
    assert catalogue.find(logged.pk, "none\x00").names == []


def test_known_names_keep_their_order(logged: Run) -> None:
    assert catalogue.known(logged.pk, ["ab", "no", "a/e", "ab", "\x00"]) == ["ab", "a/e"]


def test_common_metrics_are_those_that_most_runs_have(logged: Run) -> None:
    from tests.metrics.runs import make_run

    other = make_run()
    store.append(other.id, {"ab": Points.of([1], [1.0], [1.0])})
    found = catalogue.common([logged.pk, other.pk], limit=2)
    assert list(found.items()) == [("ab", 2), ("100%/x", 1)]
