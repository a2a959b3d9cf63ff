"""Every point on data A and on data B: what is best on one need not be on the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.tune_score_split import Knobs, Result

TITLE = "Tuned on A, scored on B"
QUESTION = "Is what won on A also good on B?"
PROTOCOLS = ["tune_score_split"]


class Scores(NamedTuple):
    metric: str
    tuned: list[float]
    scored: list[float]
    words: list[str]
    winner: int | None  # its place


def data(result: Result, knobs: Knobs) -> Scores:
    known = [(p.tuned, p.scored, p.params) for p in result.points if p.tuned is not None and p.scored is not None]
    words = [
        theme.plain(", ".join(f"{path} {value}" for path, value in sorted(params.items()))) for *_, params in known
    ]
    winner = next((place for place, one in enumerate(known) if one[2] == result.winner), None)
    return Scores(knobs.metric, [one[0] for one in known], [one[1] for one in known], words, winner)


def figure(data: Scores) -> Json:
    if not data.tuned:
        return look.empty("No point has been trained on both data sets yet.")
    sizes = [11 if place == data.winner else 6 for place in range(len(data.tuned))]
    colours = ["--accent" if place == data.winner else "--ink-3/0.5" for place in range(len(data.tuned))]
    dots = {
        "type": "scatter", "mode": "markers", "x": theme.numbers(np.array(data.tuned)),
        "y": theme.numbers(np.array(data.scored)), "customdata": data.words,
        "marker": {"size": sizes, "color": colours},
        "hovertemplate": "A %{x:.5g}, B %{y:.5g}: %{customdata}<extra></extra>",
    }  # fmt: skip
    metric = theme.plain(data.metric)
    layout = theme.layout(
        f"{metric} on A", f"{metric} on B", hovermode="closest", meta=look.caption("large: the winner on A")
    )
    return {"data": [dots], "layout": layout}
