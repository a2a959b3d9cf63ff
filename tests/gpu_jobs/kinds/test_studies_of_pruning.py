"""Studies of pruning over real jobs: what their planned specs leave is what their analyses read."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

import gpu_jobs
from gpu_jobs import spec as specs
from gpu_jobs.events import Metrics, Result
from tests.gpu_jobs.training import TINY, Bench, Outcome
from tests.sweeps.protocols.study import Series, row
from webapp.sweeps import checking
from webapp.sweeps import specs as points
from webapp.sweeps.planning import Planned
from webapp.sweeps.protocols import sparsity_accuracy, three_regime
from webapp.sweeps.rows import Row
from webapp.sweeps.search.space import active

BASE: dict[str, Any] = {
    "kind": "prune", "model": {"source": "run", "run": 7}, "data": TINY["data"], "sequence_length": 16,
    "batch_size": 4, "eval_batches": 2, "calibration": {"samples": 8},
    "retrain": {"method": {"name": "full"}, "steps": 4, "batch_size": 4},
}  # fmt: skip


def trained(bench: Bench, planned: Planned, models: dict[str, Path], sweep: int = 1) -> tuple[list[Row], list[Outcome]]:
    """Every point and seed of a planned sweep, as real jobs, and as rows."""
    asked = checking.checked(planned.definition)
    listed = checking.listed(asked)
    space = asked.search.space
    grid = [dict(zip(space, values, strict=True)) for values in product(*(one.choices for one in space.values()))]  # type: ignore[union-attr]
    rows, outcomes = [], []
    for trial, params in enumerate(listed or [active(space, one) for one in grid]):
        for seed in range(asked.seeds.tune):
            spec = points.spec_of(asked, params, seed)
            context = bench.context(inputs=models)
            found = Outcome(list(gpu_jobs.run(specs.parse(spec), context)), context.work_dir)
            assert isinstance(found.last, Result), found.last
            metrics: dict[str, list[float]] = {}
            for event in found.of(Metrics):
                for name, value in event.values.items():
                    metrics.setdefault(name, []).append(value)
            full = specs.parse(spec).model_dump(mode="json")
            rows.append(row(params, metrics=metrics, spec=full, seed=seed, trial=trial, sweep=sweep,
                            result=found.last.values))  # fmt: skip
            outcomes.append(found)
    return rows, outcomes


def test_the_sparsity_curve_of_real_prunings(bench: Bench, base: Outcome) -> None:
    knobs = sparsity_accuracy.Knobs(
        name="sparsity_accuracy", methods=["magnitude"], sparsities=[0.0, 0.25, 0.75], retrain="both", seeds=2
    )
    (planned,) = sparsity_accuracy.plan(knobs, BASE)
    rows, outcomes = trained(bench, planned, {"run:7": base.work_dir / "model"})
    result = sparsity_accuracy.analyse(knobs, rows, Series(), {})
    points = {(point.retrained, point.target): point for point in result.points}
    assert set(points) == {(is_retrained, target) for is_retrained in (False, True) for target in (0.0, 0.25, 0.75)}
    dense = base.last.values["quality"]["eval/loss"]
    assert result.dense == pytest.approx(dense, rel=1e-6)
    assert points[False, 0.0].quality == pytest.approx(dense, rel=1e-6)
    last = [found.last.values for found in outcomes[-2:]]
    assert points[True, 0.75].quality == pytest.approx(
        sum(one["quality"]["recovered"]["eval/loss"] for one in last) / 2
    )
    assert points[False, 0.75].quality == pytest.approx(last[0]["quality"]["pruned"]["eval/loss"])  # it draws no lots
    assert points[False, 0.75].sparsity == pytest.approx(0.75, abs=0.01)
    assert points[False, 0.75].nonzero == last[0]["parameters"]["nonzero"]
    assert points[False, 0.75].stored_bytes == last[0]["bytes"]["stored"]
    assert {standing.retrained: standing.seeds for standing in result.standings} == {False: 2, True: 2}


def test_the_three_regimes_of_real_prunings_and_their_pairs(bench: Bench, base: Outcome) -> None:
    knobs = three_regime.Knobs(name="three_regime", temperatures=["2", "6"], densities=[0.75, 0.25])
    (planned,) = three_regime.plan(knobs, BASE)
    rows, outcomes = trained(bench, planned, {"run:7": base.work_dir / "model"})
    labels = {2: {"part": three_regime.PAIRS}}
    (further,) = three_regime.follow_up(knobs, rows, labels)
    models = {f"run:{one.run}": found.work_dir / "model" for one, found in zip(rows, outcomes, strict=True)}
    pairs, _ = trained(bench, further, models, sweep=2)
    result = three_regime.analyse(knobs, [*rows, *pairs], Series(), labels)
    assert [(cell.temperature, cell.density, cell.pairs) for cell in result.cells] == [
        (2, 0.25, 1), (2, 0.75, 1), (6, 0.25, 1), (6, 0.75, 1),
    ]  # fmt: skip
    for cell in result.cells:
        assert cell.connectivity is not None and cell.similarity is not None and cell.regime
        assert 0 < cell.similarity <= 1 + 1e-9
    assert three_regime.follow_up(knobs, [*rows, *pairs], labels) == []
