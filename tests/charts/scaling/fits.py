"""Small fits by the real job, each made once a session."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.gpu_jobs.kinds.fits import loss, spec_of
from tests.scaling.readings import fitted
from webapp.scaling.reading import Reading

BUDGETS, SIZES = 4, 6


def ladder_points(noise: float = 0.003, seed: int = 1) -> dict[str, list[float]]:
    """Slices of equal compute around 20 tokens per parameter, by the law of tests.gpu_jobs.kinds.fits."""
    budget = np.repeat(np.geomspace(1e18, 1e20, BUDGETS), SIZES)
    size = np.sqrt(budget / 120) * np.tile(np.geomspace(0.3, 3, SIZES), BUDGETS)
    tokens = budget / (6 * size)
    measured = loss(size, tokens) * np.exp(noise * np.random.RandomState(seed).standard_normal(len(size)))
    return {"N": size.tolist(), "D": tokens.tolist(), "loss": measured.tolist()}


def of_runs(columns: dict[str, list[float]], first: int = 101) -> dict[str, Any]:
    runs = list(range(first, first + len(columns["loss"])))
    found = {"source": "runs", "query": "tags = 'ladder'", "x": {"loss": "eval/loss"}, "columns": columns, "runs": runs}
    return {"kind": "scaling_fit", "law": {"name": "chinchilla"}, "points": found, "bootstrap": {"resamples": 200}}


@functools.cache
def ladder() -> Reading:
    return made({**of_runs(ladder_points()), "holdout": {"largest": 2}, "frontier": [1e21]})


@functools.cache
def kaplan() -> Reading:
    return made({**of_runs(ladder_points()), "law": {"name": "kaplan"}})


@functools.cache
def power() -> Reading:
    """Of compute alone."""
    compute = np.geomspace(1e17, 1e20, 10)
    measured = (1.7 + 3 * (compute / 1e17) ** -0.2) * np.exp(0.005 * np.random.RandomState(0).standard_normal(10))
    table = {"C": compute.tolist(), "loss": measured.tolist()}
    return made(spec_of(table, law={"name": "power"}))


@functools.cache
def streams() -> Reading:
    """ParScale: N and P, no D."""
    size, streams = (side.ravel() for side in np.meshgrid(np.geomspace(5e8, 4e9, 5), [1.0, 2.0, 4.0, 8.0]))
    measured = 1.2 + (2e7 / (size * (0.35 * np.log(streams) + 1))) ** 0.2
    measured = measured * np.exp(0.001 * np.random.RandomState(0).standard_normal(len(size)))
    table = {"N": size.tolist(), "P": streams.tolist(), "loss": measured.tolist()}
    return made(spec_of(table, law={"name": "parscale"}))


@functools.cache
def slices() -> Reading:
    """Without resamples: each would be reduced and fitted anew."""
    columns = ladder_points(noise=0.0)
    table = {**columns, "C": [6 * size * tokens for size, tokens in zip(columns["N"], columns["D"], strict=True)]}
    return made(spec_of(table, law={"name": "isoflop"}, bootstrap={"resamples": 0}))


@functools.cache
def rates() -> Reading:
    """Step Law on the best rate of each setting; the source has every rate and batch, with losses."""
    rows = []
    for size, tokens in [(1e8, 2e9), (1e8, 8e9), (4e8, 8e9), (4e8, 3e10), (1e9, 3e10), (1e9, 1e11)]:
        best = 1.79 * size**-0.713 * tokens**0.307
        for step in (-2, -1, 0, 1, 2):
            for batch in (1e5, 2e5, 4e5):
                curved = 2.5 + 0.02 * step**2 + 0.01 * np.log2(batch / 2e5) ** 2
                rows.append((size, tokens, best * 2.0**step, batch, curved))
    table = dict(zip(("N", "D", "lr", "batch", "loss"), np.array(rows).T.tolist(), strict=True))
    law = {"name": "step_law", "of": "lr"}
    return made(spec_of(table, law=law, points={"filter": "loss < 2.505"}, objective={"name": "least_squares_log"}))


def made(spec: dict[str, Any]) -> Reading:
    with tempfile.TemporaryDirectory() as folder:
        return fitted(spec, Path(folder))
