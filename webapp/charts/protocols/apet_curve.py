"""The score over trainable parameters, one line a structure and size, with the full fine-tune and chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.apet_curve import Knobs, Result

TITLE = "Score over trainable parameters"
QUESTION = "How few parameters are enough, and does the structure matter?"
PROTOCOLS = ["apet_curve"]
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


class Line(NamedTuple):
    size: str
    structure: str
    counts: list[int]
    scores: list[float]
    deviations: list[float]


class Level(NamedTuple):
    """A horizontal: a full fine-tune, or chance."""

    label: str
    score: float
    colour: str


class Apet(NamedTuple):
    metric: str
    lines: list[Line]
    levels: list[Level]


def data(result: Result, knobs: Knobs) -> Apet:
    groups: dict[tuple[str, str], list[tuple[int, float, float]]] = {}
    for point in result.points:
        if point.score is not None and point.trainable > 0:
            groups.setdefault((point.size, point.structure), []).append(
                (point.trainable, point.score, point.std or 0.0)
            )
    lines = []
    for (size, structure), points in groups.items():
        counts, scores, deviations = zip(*sorted(points), strict=True)
        lines.append(Line(size, structure, list(counts), list(scores), list(deviations)))
    return Apet(knobs.metric, lines, [*_full(result), *_chance(result)])


def _full(result: Result) -> list[Level]:
    sizes = sorted({point.size for point in [*result.points, *result.full]})
    return [
        Level(f"all weights {point.size}".strip(), point.score, theme.colour(sizes.index(point.size)))
        for point in result.full
        if point.score is not None
    ]


def _chance(result: Result) -> list[Level]:
    return [] if result.chance is None else [Level("chance", result.chance, "--bad")]


def figure(data: Apet) -> Json:
    if not data.lines:
        return look.empty("No adapter has a score yet.")
    sizes = sorted({line.size for line in data.lines})
    names = sorted({line.structure for line in data.lines})
    counts = [count for line in data.lines for count in line.counts]
    return {
        "data": [
            _trace(names.index(line.structure), line, theme.colour(sizes.index(line.size))) for line in data.lines
        ],
        "layout": theme.layout(
            "trainable parameters",
            theme.plain(data.metric),
            xaxis=look.log_axis(min(counts), max(counts)),
            shapes=[_level(level) for level in data.levels],
            annotations=[_label(level) for level in data.levels],
            showlegend=True,
            margin={"l": 54, "r": 16, "t": 26, "b": 40},
            meta=look.caption("bars: standard deviation over seeds", "colour: model size, dash: structure"),
        ),
    }


def _trace(place: int, line: Line, colour: str) -> Json:
    style = {"color": colour, "width": 1.7, "dash": DASHES[place % len(DASHES)]}
    name = f"{theme.plain(line.structure)} {theme.plain(line.size)}".strip()
    trace = look.line(name, np.array(line.counts), np.array(line.scores), style, "%{y:.4g} at %{x:,}")
    bars = {"type": "data", "array": line.deviations, "thickness": 1, "width": 3, "color": colour}
    return trace | {"mode": "lines+markers", "marker": {"size": 6, "color": colour}, "error_y": bars}


def _level(level: Level) -> Json:
    style = {"color": level.colour, "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level.score, "y1": level.score, "line": style}


def _label(level: Level) -> Json:
    return theme.label(level.label, 0, level.score, xref="paper", yanchor="bottom", xshift=4)
