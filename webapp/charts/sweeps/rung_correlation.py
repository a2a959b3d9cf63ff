"""Spearman's rank correlation of the trials' values between early steps and the end: what stopping early relies on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look, trials
from webapp.charts.sweeps.options import Option
from webapp.charts.sweeps.series import curves_of
from webapp.charts.theme import Json
from webapp.metrics.points import Float64, Int64
from webapp.sweeps.curves import Curve, at_step
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import definition

PLACE = 70
TITLE = "Rank correlation between rungs"
QUESTION = "Can early values be trusted to pick the winner?"
RUNGS = 7
FEWEST = 4  # trials of a cell
MOST_TRIALS = 1000
SCALE = [[0, "--series-2/0.55"], [0.5, "--sunken/0.55"], [1, "--series-1/0.55"]]  # from -1 to 1


class RungCorrelation(NamedTuple):
    """`names` (m,) of the rungs, the end last. `correlation` (m, m) is NaN with fewer than 4 trials or where all are
    equal; `n` (m, m): trials that have come to both."""

    names: list[str]
    correlation: Float64
    n: Int64


def applies(definition: Definition) -> bool:
    """Only the first objective's series is followed."""
    return len(definition.objective) == 1


def options(sweep: Sweep) -> list[Option]:
    return []


def data(sweep: Sweep) -> RungCorrelation:
    found = trials.read(sweep, params=False)
    numbers = found.numbers[trials.thinned(len(found.numbers), MOST_TRIALS)]
    stopper = definition(sweep).stopper
    curves = curves_of(sweep, numbers.tolist())
    return of(curves, rungs(curves, getattr(stopper, "min_steps", 1), getattr(stopper, "reduction", None)))


def rungs(curves: Sequence[Curve], first: int = 1, reduction: int | None = None) -> list[int]:
    """Steps before the end: the stopper's where it has rungs, else measured ones, even in their logarithm."""
    if not curves:
        return []
    measured, end = np.unique(np.concatenate([curve.steps for curve in curves])), max(one.last_step for one in curves)
    begin = max(int(measured[0]), 1)
    if reduction:
        found = [first * reduction**power for power in range(RUNGS)]
    else:
        wanted = np.geomspace(begin, max(end, begin), RUNGS)[:-1]
        found = measured[np.searchsorted(measured, wanted + 1e-6, side="right") - 1].tolist()
    return sorted({step for step in found if begin <= step < end})


def of(curves: Sequence[Curve], steps: Sequence[int]) -> RungCorrelation:
    """A trial has a value at a rung when it has come that far, and at the end when it has come to its own."""
    columns = [[at_step(one, step) if one.steps[-1] >= step else None for one in curves] for step in steps]
    columns.append([float(one.values[-1]) if one.is_complete else None for one in curves])
    values = np.array(columns, np.float64).reshape(len(steps) + 1, len(curves))
    found = [[_spearman(a, b) for b in values] for a in values]
    names = [*(f"step {step:,}" for step in steps), "end"]
    return RungCorrelation(names, np.array([[cell[0] for cell in line] for line in found]),
                           np.array([[cell[1] for cell in line] for line in found], np.int64))  # fmt: skip


def _spearman(a: Float64, b: Float64) -> tuple[float, int]:
    from scipy.stats import rankdata

    both = np.isfinite(a) & np.isfinite(b)
    n = int(both.sum())
    if n < FEWEST:
        return np.nan, n
    ranks = rankdata(a[both]), rankdata(b[both])
    if min(np.ptp(ranks[0]), np.ptp(ranks[1])) == 0:
        return np.nan, n
    return float(np.corrcoef(*ranks)[0, 1]), n


def figure(data: RungCorrelation) -> Json:
    if not np.isfinite(data.correlation).any():
        return look.empty(f"It needs {FEWEST} trials that have come to the same two steps.")
    lower = np.tri(len(data.names), k=-1, dtype=bool)  # the other half says the same
    return {
        "data": [_cells(data, lower)],
        "layout": theme.layout(
            "",
            hovermode="closest",
            margin={"l": 16, "r": 16, "t": 8, "b": 30},
            xaxis={"showline": False, "ticks": ""},
            yaxis={"autorange": "reversed", "showgrid": False, "automargin": True, "ticks": ""},
            meta=look.caption("of the ranks that trials had at both, and how many they were"),
        ),
    }


def _cells(data: RungCorrelation, lower: np.typing.NDArray[np.bool_]) -> Json:
    """Without the first line and the last column, which have no cell."""
    shown = np.where(lower, data.correlation, np.nan)[1:, :-1]
    counts = np.where(lower, data.n, 0)[1:, :-1]
    text = [
        ["" if not np.isfinite(r) else f"{r:.2f}<br>n={n}" for r, n in zip(*pair, strict=True)]
        for pair in zip(shown, counts, strict=True)
    ]
    return {
        "type": "heatmap", "x": data.names[:-1], "y": data.names[1:], "z": [theme.numbers(line) for line in shown],
        "text": text, "texttemplate": "%{text}", "textfont": {"size": 10, "color": "--ink"}, "zmin": -1, "zmax": 1,
        "colorscale": SCALE, "showscale": False, "xgap": 2, "ygap": 2, "hoverongaps": False,
        "hovertemplate": "%{x} against %{y}: %{text}<extra></extra>",
    }  # fmt: skip
