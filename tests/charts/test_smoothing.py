"""Smoothing: the definition as a sum, the invariants of an average, and the same numbers as in the browser."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from playwright.sync_api import Browser

from tests.charts.smoothing import STRETCHES, smooth

VALUES = arrays(np.float64, st.integers(3, 60), elements=st.floats(-1e6, 1e6))
WEIGHTS = st.floats(0.01, 0.999)
SCRIPT = Path(__file__).parents[2] / "static" / "js" / "smoothing.js"


def positions(n: int) -> np.ndarray:
    return np.cumsum(1 + np.arange(n) % 4).astype(float)


@given(y=VALUES, weight=WEIGHTS)
def test_it_is_the_weighted_sum_of_all_points_so_far_over_the_sum_of_their_weights(
    y: np.ndarray, weight: float
) -> None:
    x = positions(len(y))
    scale = min(len(y), STRETCHES) / (x[-1] - x[0])
    kept = weight ** np.append(1.0, np.diff(x) * scale)
    expected = []
    for i in range(len(y)):
        weights = [(1 - kept[j]) * math.prod(kept[j + 1 : i + 1]) for j in range(i + 1)]
        expected.append(np.dot(weights, y[: i + 1]) / sum(weights))
    np.testing.assert_allclose(smooth(x, y, weight), expected, rtol=1e-9, atol=1e-6)


@given(y=VALUES, weight=WEIGHTS)
def test_it_begins_at_the_first_point_and_never_leaves_the_range_so_far(y: np.ndarray, weight: float) -> None:
    smoothed = smooth(positions(len(y)), y, weight)
    slack = 1e-9 * np.abs(y).max()
    assert smoothed[0] == pytest.approx(y[0])
    assert (smoothed <= np.maximum.accumulate(y) + slack).all()
    assert (smoothed >= np.minimum.accumulate(y) - slack).all()


@given(weight=WEIGHTS)
def test_points_that_are_not_finite_are_passed_over(weight: float) -> None:
    x, y = positions(50), np.sin(np.arange(50.0))
    holes = np.arange(50) % 7 == 3
    broken = np.where(holes, np.resize([np.nan, np.inf, -np.inf], 50), y)
    smoothed = smooth(x, broken, weight)
    assert np.isnan(smoothed[holes]).all()
    assert np.isfinite(smoothed[~holes]).all()


def test_no_weight_and_two_points_are_left_as_they_are() -> None:
    y = np.array([3.0, 1.0, 2.0])
    assert smooth(positions(3), y, 0.0) is y
    assert smooth(positions(2), y[:2], 0.9) is not None
    assert smooth(np.zeros(3), y, 0.5)[0] == 3.0


@pytest.mark.browser
def test_the_browser_computes_the_same(chromium: Browser) -> None:
    y = np.sin(np.arange(300) * 0.7) + np.arange(300) / 100
    y[[5, 77]] = [np.nan, np.inf]
    cases = [(positions(n), y[:n], weight) for n in (2, 3, 100, 300) for weight in (0.0, 0.3, 0.6, 0.99)]
    call = """async ([script, cases]) => {
      const { smooth } = await import("data:text/javascript," + encodeURIComponent(script));
      return cases.map(([x, y, weight]) => smooth(x, y, weight).map(String));
    }"""
    page = chromium.new_page()
    arguments = [[x.tolist(), y.tolist(), weight] for x, y, weight in cases]
    found = page.evaluate(call, [SCRIPT.read_text(), arguments])
    page.close()
    for (x, values, weight), texts in zip(cases, found, strict=True):
        theirs = [float(text.replace("Infinity", "inf")) for text in texts]
        np.testing.assert_allclose(theirs, smooth(x, values, weight), rtol=1e-9)
