"""Fronts by brute force, and a volume that only grows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.sweeps.measures import pareto

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=25)


def dominates(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@given(points=POINTS)
@settings(deadline=None)
def test_the_front_is_what_no_other_point_dominates(points: list[tuple[int, int]]) -> None:
    expected = [not any(dominates(other, point) for other in points) for point in points]
    assert pareto.front(points) == expected


@given(points=POINTS)
@settings(deadline=None, max_examples=40)
def test_the_volume_never_shrinks_and_is_the_area_counted_cell_by_cell(points: list[tuple[int, int]]) -> None:
    volumes = pareto.hypervolumes(points, (10, 10))
    assert volumes == sorted(volumes)
    cells = sum(any(x <= i and y <= j for x, y in points) for i in range(10) for j in range(10))
    assert volumes[-1] == pytest.approx(cells)


def test_points_beyond_the_reference_add_nothing() -> None:
    assert pareto.hypervolume([(11, 0)], (10, 10)) == 0
    assert pareto.front([]) == []
    assert pareto.hypervolume([], (10, 10)) == 0
