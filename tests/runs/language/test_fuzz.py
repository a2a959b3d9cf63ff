"""Any text, and any query: read back as it was written, or refused at a place; never an error of the database."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.runs import scene
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs.language import BadQuery, condition, is_query, parse, text_of
from webapp.runs.language.columns import COLUMNS
from webapp.runs.language.tree import And, Comparison, Duration, Name, Not, Number, Or, Text
from webapp.runs.tables import table

SIGNS = ("=", "!=", "<", "<=", ">", ">=")
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
numbers = st.integers() | st.floats(allow_nan=False) | st.just(math.nan)
durations = st.from_regex(r"\A([0-9]{1,6}(\.[0-9]{1,3})?[smhd]){1,3}\Z")
values = st.builds(Text, texts) | st.builds(Number, numbers) | st.builds(Duration, durations)
parts = texts.filter(bool) | st.sampled_from(["eval/loss", "method", "lr", "0", "min", "not", "a.b", 'a"b', "`"])
names = st.sampled_from([*COLUMNS, "metrics", "params", "no_such"]).map(lambda name: Name((name,)))
names |= st.builds(lambda head, path: Name((head, *path)), st.sampled_from(["metrics", "params", "name"]),
                   st.lists(parts, min_size=1, max_size=4))  # fmt: skip
comparisons = (
    st.builds(Comparison, names, st.sampled_from(SIGNS), st.tuples(values))
    | st.builds(Comparison, names, st.sampled_from(["like", "not like", "ilike", "not ilike"]), st.tuples(values))
    | st.builds(
        Comparison, names, st.sampled_from(["in", "not in"]), st.lists(values, min_size=1, max_size=3).map(tuple)
    )
    | st.builds(Comparison, names, st.sampled_from(["is null", "is not null"]))
)
trees = st.recursive(
    comparisons,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=6,
)
PIECES = [*COLUMNS, "metrics.", "params.", "eval/loss", '"', "'", "(", ")", ",", "`", "\\", "%", "{", "}", "and", "or",
          "not", "in", "like", "is", "null", *SIGNS, "1", "1e308", "-", "1h", ".", "nan", "inf", ";", "--", "é", "\x00",
          "'x'", "'2026-11-01'", "'running'"]  # fmt: skip
mixtures = st.lists(st.sampled_from(PIECES) | texts, max_size=14).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(trees)
def test_a_tree_is_read_back_from_its_text(tree) -> None:
    assert parse(text_of(tree)) == tree


@settings(max_examples=150, deadline=None)
@given(mixtures | st.text(max_size=40))
def test_any_text_is_a_query_that_prints_itself_or_is_refused_at_a_place(text) -> None:
    try:
        tree = parse(text)
    except BadQuery as error:
        assert 0 <= error.position <= len(text)
        return
    assert parse(text_of(tree)) == tree


@pytest.mark.django_db
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(trees.map(text_of) | mixtures | st.text(max_size=40))
@example("created > '0001-01-01T00:00:00+14:00'")
@example("created = '9999-12-31T23:59:59-14:00'")
@example("duration > 999999999999d")
@example("params.x = 5e-324")
@example("step = 1e308 and priority != -170141183460469231731687303715884105727")
@example("name like '%\\'")
def test_whatever_is_asked_is_answered_or_refused_and_never_an_error(text) -> None:
    user = scene.person()
    scene.project()
    try:
        rows = list(table(user, q=text))
    except BadQuery as error:
        assert is_query(text)
        assert error.errors[0]["loc"] == ["q"]
        return
    assert rows == []


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(trees)
def test_not_finds_exactly_the_others(tree) -> None:
    text = text_of(tree)
    try:
        condition(text)
    except BadQuery:
        return
    user = scene.person()
    if not table(user).exists():
        base = scene.submit(name="a", tags=["t"])
        run = scene.submit(name="b", spec=scene.finetune_of(base))
        store.append(run.pk, {"eval/loss": Points.of([0, 1], [1.0, math.nan], [0.0, 0.0])})
    everything = set(table(user))
    yes = set(table(user).filter(condition(text)))
    no = set(table(user).filter(condition(f"not ({text})")))
    assert yes | no == everything and not yes & no
