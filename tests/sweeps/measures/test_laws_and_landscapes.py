"""A planted power law is found again; a network is connected to itself and like itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.sweeps.measures import landscape, power_law
from webapp.sweeps.measures.sensitivity import lr_sensitivity


@given(floor=st.floats(0.5, 3), factor=st.floats(1, 50), exponent=st.floats(0.15, 0.6))
@settings(max_examples=20, deadline=None)
def test_a_planted_law_is_found_and_inverted(floor: float, factor: float, exponent: float) -> None:
    amounts = [1e3, 3e3, 1e4, 3e4, 1e5]
    planted = power_law.PowerLaw(floor, factor, exponent)
    law = power_law.fit(amounts, [planted.at(amount) for amount in amounts])
    assert law is not None
    assert law.at(3e4) == pytest.approx(planted.at(3e4), rel=1e-4)
    assert law.inverse(law.at(2e4)) == pytest.approx(2e4, rel=1e-6)


def test_two_amounts_give_a_law_without_a_floor_and_one_gives_none() -> None:
    law = power_law.fit([1e3, 1e5], [4.0, 2.0])
    assert law is not None and law.floor == 0
    assert law.exponent == pytest.approx(math.log(2) / math.log(100))
    assert power_law.fit([1e3, 1e3], [4.0, 2.0]) is None
    assert law.inverse(-1.0) is None


def test_a_network_is_connected_to_itself_and_like_itself() -> None:
    outputs = np.random.default_rng(0).normal(size=(50, 6))
    assert landscape.connectivity([1.5] * 11) == 0
    assert landscape.similarity(outputs, outputs) == pytest.approx(1)
    turned, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))
    assert landscape.similarity(outputs, 3 * outputs @ turned) == pytest.approx(1)
    assert landscape.similarity(outputs, np.random.default_rng(2).normal(size=(50, 6))) < 0.5


def test_a_barrier_is_negative_by_its_height() -> None:
    assert landscape.connectivity([1.0, 4.0, 1.0]) == -3
    assert landscape.connectivity([2.0, 2.0, 1.0]) == pytest.approx(-0.5)


def test_a_flat_curve_has_no_sensitivity_and_divergence_is_clipped() -> None:
    assert lr_sensitivity({1e-3: 2.0, 1e-2: 2.0, 1e-1: 2.0}, 9.0) == 0
    assert lr_sensitivity({1e-3: 2.0}, 9.0) == 0
    assert lr_sensitivity({}, 9.0) is None
    clipped = lr_sensitivity({1e-3: 2.0, 1e-2: 2.0, 1e-1: math.inf}, 9.0)
    assert clipped == lr_sensitivity({1e-3: 2.0, 1e-2: 2.0, 1e-1: 9.0}, 9.0)
    assert clipped == pytest.approx(7 / 4)  # half of one of two equal stretches


@given(extra=st.integers(0, 40))
def test_the_sensitivity_of_a_curve_does_not_depend_on_how_dense_its_grid_is(extra: int) -> None:
    """The curve is straight in log lr between three knots, so its mean is known whatever is added between them."""
    knots = np.log([1e-3, 1e-2, 1e-1])
    rates = np.union1d(knots, np.linspace(knots[0], knots[-1], extra + 2))
    curve = {math.exp(x): float(np.interp(x, knots, [4.0, 2.0, 5.0])) for x in rates}
    assert lr_sensitivity(curve, 9.0) == pytest.approx((1 + 1.5) / 2)
