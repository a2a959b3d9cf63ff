"""The diagram of pruning and the grid of merges: planted cells come back, and none is lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.protocols.study import Series, row
from webapp.sweeps.protocols import merge_grid as merging
from webapp.sweeps.protocols import three_regime as pruning

PRUNING = pruning.Knobs(name="three_regime", barrier=0.05, alike=0.9)
MERGING = merging.Knobs(
    name="merge_grid", methods=["average", "ties"], experts=[2, 4], held_out=["eval/new"], count="experts"
)


def pruned(steps: int, density: float, connectivity: float, similarity: float, seed: int = 0) -> Any:
    told = {"prune/connectivity": connectivity, "prune/similarity": similarity}
    return row({"steps": steps, "density": density}, 1.0, metrics=told, seed=seed)


def test_a_planted_grid_is_classified() -> None:
    rows = [pruned(100, 0.2, -0.5, 0.95), pruned(400, 0.2, -0.01, 0.7), pruned(100, 0.8, 0.0, 0.95),
            pruned(400, 0.8, 0.0, 1.0)]  # fmt: skip
    result = pruning.analyse(PRUNING, rows, Series(), {})
    found = {(cell.temperature, cell.density): cell.regime for cell in result.cells}
    assert found == {(100, 0.2): "I", (400, 0.2): "II-A", (100, 0.8): "II-B", (400, 0.8): "II-B"}


def test_a_cell_averages_its_seeds_and_without_measures_has_no_regime() -> None:
    rows = [pruned(100, 0.2, 0.0, 0.8), pruned(100, 0.2, 0.0, 1.0, seed=1), row({"steps": 100, "density": 0.5}, 1.0)]
    first, second = pruning.analyse(PRUNING, rows, Series(), {}).cells
    assert (first.similarity, first.regime) == (pytest.approx(0.9), "II-B")
    assert (second.connectivity, second.regime, second.score) == (None, None, 1)


def test_several_densities_are_mandatory() -> None:
    with pytest.raises(ValueError, match="two or more different shares"):
        pruning.Knobs(name="three_regime", densities=[0.5, 0.5])
    result = pruning.analyse(PRUNING, [pruned(100, 0.2, 0, 1), pruned(400, 0.2, 0, 1)], Series(), {})
    assert "All trials have one density: regimes only show over several." in result.notes


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
