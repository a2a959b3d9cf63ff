"""What is offered at the cursor: in each place what the language takes there, of this project's runs only."""

from __future__ import annotations

import math

import pytest
from django.db import connection
from django.db.models import QuerySet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runs import scene
from tests.runs.language.test_fuzz import mixtures
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs.language import BadQuery, complete, condition
from webapp.runs.language.columns import COLUMNS
from webapp.runs.models import Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


def measure(run: Run, *names: str) -> None:
    store.append(run.pk, {name: Points.of([0], [1.0], [1.0]) for name in names})


@pytest.fixture
def runs() -> QuerySet[Run]:
    run = scene.submit(name="one", tags=["it's", "night-7"], changes={"steps": 250})
    measure(run, "eval/loss", "eval/accuracy", "loss of sleep", "train/loss")
    measure(scene.submit(scene.project("Theirs"), name="theirs", tags=["secret"]), "secret/loss")
    return Run.objects.filter(project=run.project)


def texts(runs: QuerySet[Run], typed: str) -> list[str]:
    """`|` is the cursor."""
    at = typed.index("|")
    return [item.text for item in complete(typed.replace("|", ""), at, runs).items]


def accepted(runs: QuerySet[Run], typed: str, pick: str) -> str:
    """The query when the item is picked."""
    at, text = typed.index("|"), typed.replace("|", "")
    found = complete(text, at, runs)
    assert pick in [item.text for item in found.items]
    return text[: found.start] + pick + text[found.end :]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("|", [*COLUMNS][:3]),
        ("st|", ["status", "step", "steps", "started"]),
        ("met|", ["metrics."]),
        ("metrics.|", ["eval/accuracy", "eval/loss", '"loss of sleep"', "train/loss"]),
        ("metrics.eval/l|", ["eval/loss"]),
        ("metrics.loss|", ['"loss of sleep"', "eval/loss", "train/loss"]),  # what begins with it goes first
        ('metrics."loss o|', ['"loss of sleep"']),
        ("metrics.eval/loss.m|", ["min", "max", "mean"]),
        ("params.optimizer.l|", ["lr"]),
        ("params.method|", ["method"]),
        ("status |", ["= ", "!= ", "in (", "not in ("]),
        ("status n|", ["not in (", "not like ", "not ilike "]),
        ("status not |", ["in (", "like ", "ilike "]),
        ("status = |", [f"'{status}'" for status in Status.values][:4]),
        ("status = 'fai|", ["'failed'"]),
        ("status = fai|", ["'failed'"]),
        ("tags = |", ["'it''s'", "'night-7'"]),
        ("tags = 'night|", ["'night-7'"]),
        ("params.steps = |", ["250"]),
        ("status in |", ["("]),
        ("status in ('failed'|", [", ", ")"]),
        ("status in ('failed', 'q|", ["'queued'"]),
        ("name is |", ["null ", "not null "]),
        ("status = 'failed' |", ["and ", "or "]),
        ("status = 'failed'|", [" and ", " or "]),
        ("(status = 'failed' |", ["and ", "or ", ")"]),
        ("status = 'failed' and na|", ["name"]),
        ("user = |", ["'editor'"]),
        ("accur|", ["metrics.eval/accuracy"]),
        ("na| = 'x'", ["name"]),  # in the middle
        ("status = 'no such' = |", []),  # wrong before
        ("no_such.|", []),
        ("metrics.secret|", []),
        ("tags = 'sec|", []),
    ],
)
def test_what_is_offered_first(runs: QuerySet[Run], typed: str, first: list[str]) -> None:
    if first == ["'editor'"]:
        first = [f"'{Run.objects.get(name='one').created_by.username}'"]
    assert texts(runs, typed)[: max(len(first), 1)] == first


def test_picking_items_one_after_the_other_writes_a_query_that_holds(runs: QuerySet[Run]) -> None:
    text = ""
    for pick in ("metrics.", '"loss of sleep"', ".", "mean", "= ", "1 ", "and ", "params.", "steps", " ", "= ", "250"):
        items = [item.text for item in complete(text, len(text), runs).items]
        text = accepted(runs, f"{text}|", pick) if pick in items else text + (" " if pick == "= " else "") + pick
    assert [run.name for run in runs.filter(condition(text))] == ["one"]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=mixtures | st.text(max_size=40), part=st.floats(0, 1))
def test_any_text_is_completed_without_an_error_and_only_before_the_cursor(text, part) -> None:
    at = math.floor(part * len(text))
    found = complete(text, at, Run.objects.all())
    assert 0 <= found.start <= found.end == min(at, 2000)
    assert len(found.items) <= 30 and len({item.text for item in found.items}) == len(found.items)
    for item in found.items:
        if item.kind == "column" and item.text in COLUMNS:
            with pytest.raises(BadQuery) as wrong:
                condition(f"{text[: found.start]}{item.text}")
            assert wrong.value.position >= found.start  # nothing wrong up to and with the item, but more is to come


def test_of_many_names_those_that_begin_with_what_is_typed_are_found_in_every_run() -> None:
    first, second = scene.submit(), scene.submit()
    with connection.cursor() as cursor:
        for run, prefix in ((first, "z"), (second, "a")):
            cursor.execute(
                "INSERT INTO series (run_id, name, tail, count, finite_count, total)"
                " SELECT %s, %s || '/' || i, '{}', 1, 1, 0 FROM generate_series(1, 15000) AS i", [run.pk, prefix]
            )  # fmt: skip
    runs = Run.objects.filter(project=first.project)
    assert texts(runs, "metrics.z/1499|") == ["z/1499", *[f"z/1499{digit}" for digit in range(10)]]
    assert texts(runs, "metrics.a/1499|") == ["a/1499", *[f"a/1499{digit}" for digit in range(10)]]
