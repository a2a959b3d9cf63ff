"""Ranks against the definition: one more than how many are better."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webapp.sweeps.measures.ranking import ranks


@given(values=st.lists(st.one_of(st.none(), st.integers(0, 5).map(float)), max_size=12))
def test_a_rank_is_one_more_than_how_many_are_better(values: list[float | None]) -> None:
    known = [value for value in values if value is not None]
    expected = [None if value is None else 1 + sum(other < value for other in known) for value in values]
    assert ranks(values) == expected
