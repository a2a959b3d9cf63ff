"""The grid of merges: planted cells come back, and none is lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.protocols.study import Series, row
from webapp.sweeps.protocols import merge_grid as merging

MERGING = merging.Knobs(
    name="merge_grid", methods=["average", "ties"], experts=[2, 4], held_out=["eval/new"], count="experts"
)


def merged(method: str, experts: int, score: float) -> Any:
    return row({"method.name": method, "experts": experts}, metrics={"eval/accuracy": score, "eval/new": score / 2})


def test_every_cell_is_kept_and_stores_what_it_was_divided_by() -> None:
    expert = row({}, metrics={"eval/accuracy": 0.8}, sweep=2)
    result = merging.analyse(MERGING, [merged("average", 2, 0.6), expert], Series(), {2: {"part": "expert"}})
    assert len(result.cells) == 2 * 2 * 2  # methods x experts x tasks, all but one of them empty
    first = next(c for c in result.cells if c.score is not None and c.held_in)
    assert (first.method, first.experts, first.normaliser, first.normalised) == ("average", 2, 0.8, pytest.approx(0.75))
    empty = next(c for c in result.cells if c.score is None and c.held_in)
    assert (empty.normaliser, empty.normalised, empty.runs) == (0.8, None, 0)


def test_without_an_expert_nothing_is_normalised_and_it_says_so() -> None:
    result = merging.analyse(MERGING, [merged("ties", 4, 0.6)], Series(), {})
    assert all(cell.normalised is None for cell in result.cells)
    assert any("No expert's score on eval/accuracy" in note for note in result.notes)
