"""Optima of many resamples at once are those of each resample alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpu_jobs import registry
from gpu_jobs.engine.laws import bootstrap, reducing
from gpu_jobs.engine.laws.minima import minima
from gpu_jobs.engine.laws.objectives import loss_of
from gpu_jobs.engine.laws.problem import Problem
from gpu_jobs.engine.laws.table import Table
from gpu_jobs.errors import DataError
from gpu_jobs.points import HuberLog
from gpu_jobs.reductions import parabolas
from tests.gpu_jobs.kinds.fits import loss

RESAMPLES = 12


def slices() -> dict[str, Any]:
    """Five budgets with seven sizes each, with noise."""
    budgets = np.repeat(np.geomspace(1e18, 1e20, 5), 7)
    sizes = 0.1 * (budgets / 6) ** 0.5 * np.tile(np.geomspace(0.3, 3, 7), 5)
    noise = np.exp(2e-3 * np.random.RandomState(3).standard_normal(35))
    return {"N": sizes, "C": budgets, "loss": loss(sizes, budgets / (6 * sizes)) * noise}


def curves() -> dict[str, Any]:
    """Six training curves of 30 points."""
    sizes = np.repeat(np.geomspace(1e7, 1e9, 6), 30)
    tokens = np.tile(np.geomspace(1e9, 1e11, 30), 6)
    noise = np.exp(2e-3 * np.random.RandomState(3).standard_normal(180))
    return {"N": sizes, "C": 6 * sizes * tokens, "loss": loss(sizes, tokens) * noise}


@pytest.mark.parametrize(("name", "columns"), [("isoflop", slices()), ("envelope", curves())])
def test_resamples_at_once_are_as_one_by_one(name: str, columns: dict[str, Any]) -> None:
    """Against the law's own reduction of repeated rows, and a fit of each from its grid of starts."""
    method = registry.methods("laws")[name]
    law = method.knobs(name=name)
    points = Table(columns, np.arange(len(columns["N"])), None)
    table = reducing.reduce(law, points)
    assert table is not None
    problem = Problem(law, table.variables(law), table.columns[law.target], loss_of(HuberLog(delta=0.1)))
    drawn = bootstrap.draws(np.arange(len(points.rows)), RESAMPLES, 0)
    together = reducing.refit(problem, minima(problem), points, drawn)
    worked = 0
    for counts, found in zip(drawn, together, strict=True):
        rows = np.repeat(np.arange(len(counts)), counts)
        try:
            alone = method.module.reduce(law, {key: value[rows] for key, value in columns.items()})
        except DataError:
            alone = {"C": np.empty(0)}
        if len(alone["C"]) < len(law.free):
            assert np.isnan(found).all()
            continue
        single = Problem(law, {"C": alone["C"]}, alone["N_opt"], problem.loss)
        assert found == pytest.approx(minima(single).best, rel=1e-4, abs=1e-5)
        worked += 1
    assert worked > RESAMPLES / 2


def test_parabolas_are_those_of_polyfit() -> None:
    random = np.random.RandomState(0)
    x, y = random.uniform(15, 22, 12), random.uniform(2, 4, 12)
    counts = random.randint(0, 3, (20, 12)).astype(float)
    found = parabolas(x, y, counts)
    for row, weights in enumerate(counts):
        curve, slope, level = np.polyfit(x - found.middle[row], y, 2, w=np.sqrt(weights))
        assert (found.curve[row], found.slope[row], found.level[row]) == pytest.approx((curve, slope, level), rel=1e-7)
    assert found.vertex[0] == pytest.approx(found.middle[0] - found.slope[0] / (2 * found.curve[0]))


def test_two_sizes_make_no_parabola() -> None:
    x = np.array([1.0, 2.0, 3.0])
    assert np.isnan(parabolas(x, x**2, np.array([[2.0, 3.0, 0.0]])).curve).all()
