"""Score against parameters: exact counts, spread at equal counts, and where chance is passed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.protocols.study import FINETUNE, Series, row
from webapp.sweeps.protocols import apet_curve as protocol

LABELS = {1: {"size": "s"}, 2: {"size": "l"}}


def knobs(**changes: Any) -> protocol.Knobs:
    return protocol.Knobs(name="apet_curve", **{"counts": 3, **changes})


def run(structure: str, trainable: int, loss: float, sweep: int = 1, seed: int = 0) -> Any:
    return row({"method.name": structure}, loss, trainable=trainable, sweep=sweep, seed=seed, spec=FINETUNE)


def test_points_stand_at_the_exact_counts_with_their_seeds() -> None:
    rows = [run("lora", 1234, 2.0), run("lora", 1234, 2.2, seed=1), run("full", 99_999, 1.0)]
    result = protocol.analyse(knobs(), rows, Series(), LABELS)
    (point,) = result.points
    assert (point.trainable, point.score, point.seeds) == (1234, pytest.approx(2.1), 2)
    assert [(p.trainable, p.score) for p in result.full] == [(99_999, 1)]


def test_the_spread_of_structures_is_read_at_equal_counts_on_a_log_grid() -> None:
    rows = [run(name, count, loss) for name, losses in (("lora", (3.0, 1.0)), ("prompt", (4.0, 1.0)))
            for count, loss in zip((100, 10_000), losses, strict=True)]  # fmt: skip
    spreads = protocol.analyse(knobs(), rows, Series(), LABELS).spreads
    assert [s.trainable for s in spreads] == pytest.approx([100, 1000, 10_000])
    assert [s.spread for s in spreads] == pytest.approx([1, 0.5, 0])


def test_one_structure_alone_has_no_spread() -> None:
    assert protocol.analyse(knobs(), [run("lora", 10, 1.0), run("lora", 20, 1.0)], Series(), LABELS).spreads == []


def test_chance_is_passed_at_the_smallest_count_that_does_better() -> None:
    rows = [run("lora", 10, 5.0), run("lora", 20, 3.9), run("lora", 40, 3.0), run("prompt", 10, 4.5)]
    found = protocol.analyse(knobs(chance=4.0), rows, Series(), LABELS).thresholds
    assert {t.structure: t.trainable for t in found} == {"lora": 20, "prompt": None}
    better = protocol.analyse(knobs(chance=4.0, goal="maximize"), rows, Series(), LABELS).thresholds
    assert {t.structure: t.trainable for t in better} == {"lora": 10, "prompt": 10}


def test_the_plan_trains_each_rank_and_all_weights_for_each_size() -> None:
    planned = protocol.plan(knobs(sizes=["1x16", "2x16"], ranks=[1, 2, 4]), FINETUNE)
    assert [p.labels["part"] for p in planned] == ["adapters", "full"] * 2
    assert planned[0].definition["trials"] == 3
    assert planned[0].definition["search"]["space"]["method.rank"] == {
        "choices": [1, 2, 4], "when": {"method.name": ["lora"]},
    }  # fmt: skip
    assert planned[1].definition["spec"]["method"] == {"name": "full"}
