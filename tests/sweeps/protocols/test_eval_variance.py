"""Spread over seeds: against numpy, and monotonicity of planted series."""

from __future__ import annotations

import numpy as np
import pytest

from tests.sweeps.protocols.study import PRETRAIN, Series, row
from webapp.sweeps.protocols import eval_variance as protocol

KNOBS = protocol.Knobs(name="eval_variance", metrics=["eval/loss"], scores=["eval/accuracy"])


def test_mean_and_spread_over_seeds_are_numpys_and_the_interval_holds_the_mean() -> None:
    losses = np.random.default_rng(0).normal(2, 0.1, 12).tolist()
    rows = [row({}, loss, trial=1, seed=seed, metrics={"eval/accuracy": 0.5}) for seed, loss in enumerate(losses)]
    result = protocol.analyse(KNOBS, rows, Series(), {})
    loss, accuracy = result.spreads
    assert (loss.n, loss.mean, loss.std) == (12, pytest.approx(np.mean(losses)), pytest.approx(np.std(losses, ddof=1)))
    assert loss.low is not None and loss.high is not None and loss.low < np.mean(losses) < loss.high
    assert (accuracy.std, accuracy.ratio) == (0, None)
    assert len(result.samples) == 24


def test_a_series_that_only_improves_is_monotone_whichever_way_is_better() -> None:
    series, found = Series(), row({}, 1.0, metrics={"eval/accuracy": 0.9})
    series.add(found.run, "eval/loss", [4, 3, 2, 1])
    series.add(found.run, "eval/accuracy", [0.1, 0.3, 0.2, 0.9])
    loss, accuracy = protocol.analyse(KNOBS, [found], series, {}).spreads
    assert loss.monotonicity == 1
    assert accuracy.monotonicity == pytest.approx(4 / 6)  # of six pairs one is the other way round


def test_test_seeds_are_left_out() -> None:
    rows = [row({}, 2.0, trial=1), row({}, 99.0, trial=1, seed=10_000, role="test")]
    assert protocol.analyse(KNOBS, rows, Series(), {}).spreads[0].n == 1


def test_the_plan_is_one_point_with_all_seeds() -> None:
    (planned,) = protocol.plan(protocol.Knobs(name="eval_variance", seeds=7), PRETRAIN)
    assert (planned.definition["trials"], planned.definition["seeds"]) == (1, 7)
    assert planned.definition["search"]["space"] == {"steps": {"choices": [20]}}
