from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.charts.figures import validated
from tests.charts.sweeps.scene import log, make_run, make_sweep, make_trial
from webapp.charts.sweeps import figure_of, rung_correlation
from webapp.sweeps.curves import Curve
from webapp.sweeps.states import TrialStatus

RANDOM = np.random.default_rng(0)


def curve(trial: int, values: dict[int, float], last_step: int = 90) -> Curve:
    steps = np.array(list(values), np.int64)
    is_complete = int(steps[-1]) == last_step
    return Curve(trial, steps, np.array(list(values.values())), last_step, True, is_complete)


def test_it_is_spearmans_over_the_trials_that_have_come_to_both() -> None:
    ends = RANDOM.integers(0, 8, 40)  # with ties
    early = ends + RANDOM.normal(0, 3, 40)
    curves = [curve(n, {10: early[n], 30: ends[n] + 0.5, 90: float(ends[n])}) for n in range(40)]
    curves += [curve(40 + n, {10: float(n)}) for n in range(5)]  # stopped at the first rung
    data = rung_correlation.of(curves, [10, 30])
    assert data.names == ["step 10", "step 30", "end"]
    assert data.correlation[2, 0] == pytest.approx(spearmanr(early, ends).statistic)
    assert data.correlation[2, 1] == pytest.approx(1)
    np.testing.assert_array_equal(data.n, [[45, 40, 40], [40, 40, 40], [40, 40, 40]])
    np.testing.assert_allclose(data.correlation, data.correlation.T)


def test_few_trials_or_equal_values_have_no_correlation() -> None:
    few = [curve(n, {10: n, 90: n}) for n in range(3)]
    assert np.isnan(rung_correlation.of(few, [10]).correlation).all()
    flat = [curve(n, {10: 1.0, 90: n}) for n in range(9)]
    assert np.isnan(rung_correlation.of(flat, [10]).correlation[1, 0])


def test_rungs_are_the_stoppers_or_grow_evenly_to_below_the_end() -> None:
    curves = [curve(1, dict.fromkeys(range(1, 91), 1.0))]
    assert rung_correlation.rungs(curves, 10, 3) == [10, 30]
    found = rung_correlation.rungs(curves)
    assert found[0] == 1
    assert found[-1] < 90
    ratios = np.array(found[1:]) / np.array(found[:-1])
    assert ratios.max() < 3
    rare = [curve(1, {20: 1.0, 40: 1.0, 60: 1.0, 90: 1.0})]
    assert rung_correlation.rungs(rare) == [20, 40, 60]
    assert rung_correlation.rungs([]) == []


def test_a_cell_tells_its_number_of_trials_and_is_drawn_once() -> None:
    curves = [curve(n, {10: n, 30: n, 90: n}) for n in range(6)]
    figure = rung_correlation.figure(rung_correlation.of(curves, [10, 30]))
    trace = validated(figure).data[0]
    assert trace.text[1][0] == "1.00<br>n=6"
    assert figure["data"][0]["z"] == [[1.0, None], [1.0, 1.0]]


@pytest.mark.django_db
def test_it_reads_the_series_of_the_objective() -> None:
    sweep = make_sweep(stopper={"name": "asha", "min_steps": 10, "reduction": 3})
    for number in range(1, 7):
        end = number if number != 3 else 9
        run = make_run(make_trial(sweep, number, [end]), steps=60)
        log(run, {"eval/loss": {10: number, 30: number, 60: end}})
    stopped = make_run(make_trial(sweep, 7, [9.0], TrialStatus.STOPPED), steps=60)
    log(stopped, {"eval/loss": {10: 9.0}})
    data = rung_correlation.data(sweep)
    assert data.names == ["step 10", "step 30", "end"]
    assert data.n[2].tolist() == [6, 6, 6]
    assert data.n[0, 0] == 7
    assert data.correlation[2, 0] == pytest.approx(spearmanr([1, 2, 3, 4, 5, 6], [1, 2, 9, 4, 5, 6]).statistic)
    validated(figure_of("rung_correlation", sweep, {}))
