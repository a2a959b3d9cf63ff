"""LR sensitivity of planted curves, and the grid that it asks for."""

from __future__ import annotations

import math

import pytest

from tests.sweeps.protocols.study import PRETRAIN, Series, row
from webapp.sweeps.protocols import lr_sensitivity as protocol

KNOBS = protocol.Knobs(name="lr_sensitivity", low=1e-3, high=1e-1, points=3, sizes=["1x16", "2x32"])
LABELS = {1: {"size": "1x16"}, 2: {"size": "2x32"}}


def run(lr: float, loss: float | None, sweep: int = 1, **fields: object) -> object:
    told = {"train/loss": [9.0, 8.0], "train/grad_norm": 2.0 * sweep}
    return row({"optimizer.lr": lr}, loss, sweep=sweep, total=100**sweep, metrics=told, **fields)  # type: ignore[arg-type]


def test_each_size_has_its_own_curve_and_divergence_counts_as_the_initial_loss() -> None:
    rows = [run(1e-3, 2), run(1e-2, 2), run(1e-1, 2), run(1e-3, 4, 2), run(1e-2, 2, 2),
            run(1e-1, None, 2, status="diverged")]  # fmt: skip
    result = protocol.analyse(KNOBS, rows, Series(), LABELS)  # type: ignore[arg-type]
    flat, steep = result.curves
    assert (flat.size, flat.sensitivity, flat.initial) == ("1x16", 0, 9)
    # excess 2, 0, 7 over two equal stretches: ((2 + 0) / 2 + (0 + 7) / 2) / 2
    assert steep.sensitivity == pytest.approx(2.25)
    assert (steep.best_lr, steep.best_loss, steep.parameters) == (1e-2, 2, 10_000)
    assert [p.diverged for p in result.points if p.size == "2x32"] == [0, 0, 1]
    assert result.outcomes.diverged == 1


def test_a_loss_above_the_initial_one_is_clipped_to_it() -> None:
    result = protocol.analyse(KNOBS, [run(1e-3, 50), run(1e-1, 2)], Series(), LABELS)  # type: ignore[arg-type]
    assert [(p.loss, p.clipped) for p in result.points] == [(50, 9), (2, 2)]


def test_a_trend_over_size_is_a_power_of_the_parameters() -> None:
    asked = KNOBS.model_copy(update={"extrapolate_to": 1e6})
    rows = [run(1e-2, 2, 1), run(1e-2, 2, 2)]  # norms 2 and 4 at 100 and 10,000 parameters
    (trend,) = protocol.analyse(asked, rows, Series(), LABELS).trends  # type: ignore[arg-type]
    assert trend.exponent == pytest.approx(math.log(2) / math.log(100))
    assert trend.extrapolated == pytest.approx(8)


def test_the_plan_is_a_log_grid_for_each_size() -> None:
    planned = protocol.plan(KNOBS, PRETRAIN)
    assert [p.labels for p in planned] == [{"size": "1x16"}, {"size": "2x32"}]
    for sweep in planned:
        assert sweep.definition["search"]["space"] == {"optimizer.lr": {"choices": [1e-3, 1e-2, 1e-1]}}
        assert sweep.definition["trials"] == 3
    assert planned[1].definition["spec"]["model"] == {
        "source": "config", "architecture": "llama", "context": 32, "layers": 2, "width": 32, "heads": 1,
    } | {"heads": planned[1].definition["spec"]["model"]["heads"]}  # fmt: skip
