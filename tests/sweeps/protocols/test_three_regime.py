"""The diagram of pruning: planted cells come back, and the evaluations of pairs that it needs are planned."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.protocols.pruning import RETRAIN, SPEC, pruned
from tests.sweeps.protocols.study import Series, row
from webapp.accounts.errors import Invalid
from webapp.sweeps import checking
from webapp.sweeps.protocols import three_regime as protocol
from webapp.sweeps.protocols.three_regime import Cell, Knobs
from webapp.sweeps.rows import Row

PAIRS = {2: {"part": "pairs"}}


def knobs(**more: Any) -> Knobs:
    return Knobs(name="three_regime", barrier=0.05, alike=0.9, **more)


def cell(steps: int, sparsity: float, seeds: int = 2, **fields: Any) -> list[Row]:
    """Models of several seeds at one place."""
    params = {"retrain.steps": steps}
    return [
        pruned("magnitude", sparsity, 0.1, seed=seed, retrained=0.0, params=params, **fields) for seed in range(seeds)
    ]


def pair(one: Row, other: Row, connectivity: float, similarity: float, **fields: Any) -> Row:
    told = {"pair/connectivity": connectivity, "pair/similarity": similarity}
    return row({"model.run": one.run, "against.run": other.run}, 1.0, metrics=told, sweep=2, **fields)


def diagram(*cells: tuple[list[Row], float, float], **more: Any) -> dict[tuple[float, float], Cell]:
    rows = [each for models, *_ in cells for each in models]
    rows += [pair(models[0], models[1], connectivity, alike) for models, connectivity, alike in cells]
    result = protocol.analyse(knobs(**more), rows, Series(), PAIRS)
    return {(found.temperature, found.density): found for found in result.cells}


def test_a_planted_grid_is_classified_and_advised() -> None:
    found = diagram((cell(100, 0.8), -0.5, 0.95), (cell(400, 0.8), -0.01, 0.7), (cell(100, 0.2), 0.0, 0.95))
    assert {place: one.regime for place, one in found.items()} == {
        (100, 0.2): "I", (400, 0.2): "II-A", (100, 0.8): "II-B",
    }  # fmt: skip
    assert found[100, 0.2].advice == "heat it: less retrain.steps"
    assert found[400, 0.2].advice == "cool it: more retrain.steps"
    assert found[100, 0.8].advice == "leave the temperature"


@pytest.mark.parametrize(
    ("temperature", "hotter", "words"),
    [("retrain.optimizer.lr", "auto", "heat it: more retrain.optimizer.lr"),
     ("retrain.optimizer.lr", "less", "heat it: less retrain.optimizer.lr"), ("model.run", "auto", "heat it")],
)  # fmt: skip
def test_which_way_is_hotter_goes_by_the_knob(temperature: str, hotter: Any, words: str) -> None:
    asked = knobs(temperature=temperature, hotter=hotter)
    models = [pruned("magnitude", 0.5, 0.1, seed=seed, retrained=0.0, params={temperature: 3}) for seed in (0, 1)]
    (found,) = protocol.analyse(asked, [*models, pair(*models, -1.0, 0.5)], Series(), PAIRS).cells
    assert found.advice == words


def test_a_cell_averages_its_pairs_and_without_any_has_no_regime() -> None:
    models, alone = cell(100, 0.8, seeds=3), cell(100, 0.5)
    rows = [*models, *alone, pair(models[0], models[1], 0.0, 0.8), pair(models[1], models[2], 0.0, 1.0)]
    first, second = protocol.analyse(knobs(), rows, Series(), PAIRS).cells
    assert (first.similarity, first.regime, first.pairs, first.seeds) == (pytest.approx(0.9), "II-B", 2, 3)
    assert (second.connectivity, second.regime, second.pairs) == (None, None, 0)
    assert second.score == pytest.approx(2.0)
    blind = protocol.analyse(knobs(), models, Series(), PAIRS)
    assert any("No pair of seeds is measured yet" in note for note in blind.notes)


def test_several_densities_are_mandatory() -> None:
    with pytest.raises(ValueError, match="two or more different shares"):
        knobs(densities=[0.5, 0.5])
    result = protocol.analyse(knobs(), [*cell(100, 0.8), *cell(400, 0.8)], Series(), {})
    assert "All trials have one density: regimes only show over several." in result.notes


def test_the_plan_is_a_sound_sweep_of_kind_prune() -> None:
    (planned,) = protocol.plan(knobs(), {**SPEC, "retrain": RETRAIN})
    checked = checking.checked(planned.definition)
    assert (checked.trials, checked.seeds.tune, checked.spec["kind"]) == (16, 2, "prune")
    assert checked.search.space["method.sparsity"].choices == [0.2, 0.4, 0.6, 0.8]  # type: ignore[union-attr]


def test_a_base_that_does_not_retrain_or_prunes_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match="set retrain in the base job"):
        protocol.plan(knobs(), SPEC)
    with pytest.raises(Invalid, match="a spec of kind 'prune', not 'pretrain'"):
        protocol.plan(knobs(), {**SPEC, "kind": "pretrain"})


def test_neighbouring_seeds_of_each_cell_are_compared_on_their_own_data_once() -> None:
    first, second = cell(100, 0.8, seeds=3), cell(400, 0.8)
    (planned,) = protocol.follow_up(knobs(), [*second, *first], PAIRS)
    checked = checking.checked(planned.definition)
    points = [(point["model.run"], point["against.run"]) for point in planned.definition["search"]["sampler"]["points"]]
    a, b, c = (one.run for one in first)
    d, e = (one.run for one in second)
    assert points == [(a, b), (b, c), (d, e)] and checked.trials == 3
    assert checked.spec["data"] | {} == {**checked.spec["data"], "name": "language-reference"}
    assert (checked.spec["kind"], checked.spec["sequence_length"]) == ("evaluate", 16)
    known = [pair(first[0], first[1], 0, 1), pair(second[0], second[1], 0, 1, status="failed")]
    (rest,) = protocol.follow_up(knobs(), [*second, *first, *known], PAIRS)
    assert [point["model.run"] for point in rest.definition["search"]["sampler"]["points"]] == [b]


def test_models_that_were_lost_are_not_compared() -> None:
    assert protocol.follow_up(knobs(), cell(100, 0.8, status="diverged"), PAIRS) == []
    assert protocol.follow_up(knobs(), [], {}) == []
