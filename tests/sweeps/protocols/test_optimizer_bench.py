"""Optimizers on planted laws: speed-ups, ranks in the middle and at the end, and flips."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.protocols.study import PRETRAIN, Series, row
from webapp.sweeps.protocols import optimizer_bench as protocol

KNOBS = protocol.Knobs(name="optimizer_bench", optimizers=["adamw", "muon"])


def loss(tokens: float, speed: float = 1.0) -> float:
    return float(1.5 + 40 * (speed * tokens) ** -0.4)


class Bench:
    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.series = Series()

    def add(self, optimizer: str, steps: int, final: float, middle: float, lr: float = 1e-3) -> None:
        spec = {**PRETRAIN, "optimizer": {"name": optimizer}, "steps": steps}
        found = row({"optimizer.lr": lr}, final, spec=spec)
        self.series.add(found.run, "eval/loss", [9.0, middle, final], steps=[1, steps // 2, steps])
        self.rows.append(found)

    def result(self) -> protocol.Result:
        return protocol.analyse(KNOBS, self.rows, self.series, {})


def test_the_speedup_is_the_ratio_of_tokens_at_equal_loss() -> None:
    bench = Bench()
    for steps in (100, 200, 400, 800):
        bench.add("adamw", steps, loss(64 * steps), 3.0)
    bench.add("muon", 200, loss(64 * 200, speed=1.4), 3.0)
    result = bench.result()
    assert next(line.speedup for line in result.lines if line.optimizer == "muon") == pytest.approx(1.4, rel=1e-3)
    assert all(line.speedup is None for line in result.lines if line.optimizer == "adamw")
    assert [law.optimizer for law in result.laws] == ["adamw"]


def test_the_best_configuration_of_each_counts() -> None:
    bench = Bench()
    bench.add("adamw", 100, 3.0, 4.0, lr=1e-4)
    bench.add("adamw", 100, 2.0, 4.0, lr=1e-3)
    (line,) = bench.result().lines
    assert (line.loss, line.params) == (2.0, {"optimizer.lr": 1e-3})


def test_ranks_in_the_middle_and_at_the_end_are_both_told_and_a_flip_is_flagged() -> None:
    bench = Bench()
    bench.add("adamw", 100, final=2.0, middle=3.5)
    bench.add("muon", 100, final=2.1, middle=3.0)
    result = bench.result()
    assert [(line.optimizer, line.rank, line.middle_rank) for line in result.lines] == [("adamw", 1, 2), ("muon", 2, 1)]
    (flip,) = result.flips
    assert (flip.ahead_in_the_middle, flip.ahead_at_the_end) == ("muon", "adamw")
    assert any("no law, so no speed-up" in note for note in result.notes)


def test_the_same_order_is_no_flip() -> None:
    bench = Bench()
    bench.add("adamw", 100, final=2.0, middle=3.0)
    bench.add("muon", 100, final=2.1, middle=3.5)
    assert bench.result().flips == []


def test_only_sensitive_knobs_are_tuned_again_at_larger_sizes() -> None:
    asked = KNOBS.model_copy(update={"optimizers": ["adamw"], "sizes": ["1x16", "2x16"], "lengths": [1, 2]})
    planned = protocol.plan(asked, PRETRAIN)
    swept = {(p.labels["size"], p.labels["coordinate"]) for p in planned}
    assert swept == {("1x16", "lr"), ("1x16", "weight_decay"), ("2x16", "lr")}
    assert {p.definition["spec"]["steps"] for p in planned} == {20, 40}
    values = planned[0].definition["search"]["space"]["optimizer.lr"]["choices"]
    assert values == pytest.approx([0.00025, 0.0005, 0.001, 0.002, 0.004])
