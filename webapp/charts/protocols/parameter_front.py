"""Score against trainable parameters, and the front of what no other trial beats in both."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.autopeft import Knobs, Result

TITLE = "Score against parameters"
QUESTION = "Which adapters are worth their parameters?"
PROTOCOLS = ["autopeft"]


class Dot(NamedTuple):
    trial: int
    trainable: int
    score: float
    on_front: bool
    words: str


class Front(NamedTuple):
    metric: str
    dots: list[Dot]
    hypervolume: float | None


def data(result: Result, knobs: Knobs) -> Front:
    dots = [Dot(p.trial, p.trainable, p.score, p.on_front, _words(p.params)) for p in result.points]
    return Front(knobs.metric, dots, result.volumes[-1].hypervolume if result.volumes else None)


def _words(params: dict[str, object]) -> str:
    return theme.plain(", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in sorted(params.items())))


def figure(data: Front) -> Json:
    if not data.dots:
        return look.empty("No trial has a score and a count of parameters yet.")
    counts = [max(1, dot.trainable) for dot in data.dots]
    front = sorted((dot for dot in data.dots if dot.on_front), key=lambda dot: (dot.trainable, dot.score))
    steps = np.array([[dot.trainable, dot.score] for dot in front], float).T
    told = "" if data.hypervolume is None else f"hypervolume {data.hypervolume:.4g} of score and log10 parameters"
    return {
        "data": [
            look.line("front", steps[0], steps[1], {"color": "--accent", "width": 1.6, "shape": "hv"}),
            _dots("dominated", [dot for dot in data.dots if not dot.on_front], {"size": 5, "color": "--ink-3/0.35"}),
            _dots("front", front, {"size": 8, "color": "--accent"}),
        ],
        "layout": theme.layout(
            "trainable parameters",
            theme.plain(data.metric),
            hovermode="closest",
            xaxis=look.log_axis(min(counts), max(counts)),
            meta=look.caption(f"{len(front)} of {len(data.dots)} trials on the front", told),
        ),
    }


def _dots(name: str, dots: list[Dot], marker: Json) -> Json:
    x, y = np.array([dot.trainable for dot in dots]), np.array([dot.score for dot in dots])
    told = [[dot.trial, dot.words] for dot in dots]
    hover = "trial %{customdata[0]}: %{y:.5g} with %{x:,} (%{customdata[1]})"
    return look.dots(name, x, y, told, marker, hover)
