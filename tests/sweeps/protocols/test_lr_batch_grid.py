"""The grid keeps its tokens, finds the planted optimum and says what Step Law would have chosen."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sweeps.protocols.study import PRETRAIN, Series, row
from webapp.sweeps.protocols import lr_batch_grid as protocol

KNOBS = protocol.Knobs(name="lr_batch_grid", low=1e-3, high=1e-1, points=3, batches=[4, 8])


def test_every_batch_size_reads_the_same_tokens() -> None:
    planned = protocol.plan(KNOBS, PRETRAIN)
    specs = [p.definition["spec"] for p in planned]
    assert [s["steps"] * s["batch_size"] * s["sequence_length"] for s in specs] == [20 * 4 * 16] * 2
    assert [len(p.definition["search"]["space"]["optimizer.lr"]["choices"]) for p in planned] == [3, 3]


def test_the_best_cell_is_the_optimum_and_gaps_are_relative_to_it() -> None:
    rows = [
        row({"optimizer.lr": lr, "batch_size": batch}, 2 + abs(math.log10(lr / 1e-2)) + (batch != 8), total=1000)
        for lr in (1e-3, 1e-2, 1e-1)
        for batch in (4, 8)
    ]
    result = protocol.analyse(KNOBS, rows, Series(), {})
    grid, law = result.optima
    assert (grid.lr, grid.batch, grid.loss) == (1e-2, 8, 2)
    assert {(c.lr, c.batch): c.gap for c in result.cells}[1e-2, 4] == pytest.approx(0.5)
    assert law.source == "step law" and law.lr > 0


@given(n=st.integers(10**6, 10**9), d=st.integers(10**8, 10**11))
def test_step_law_scales_as_its_exponents_say(n: int, d: int) -> None:
    lr, batch = protocol.step_law(n, d)
    assert protocol.step_law(2 * n, d)[0] / lr == pytest.approx(2**-0.713)
    assert protocol.step_law(n, 2 * d)[0] / lr == pytest.approx(2**0.307)
    assert protocol.step_law(n, 2 * d)[1] / batch == pytest.approx(2**0.571)
    assert protocol.step_law(2 * n, d)[1] == batch
