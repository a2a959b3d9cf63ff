"""Which share of the workloads each algorithm solves within so many times the fastest algorithm's time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.algoperf import Knobs, Result

TITLE = "Performance profiles"
QUESTION = "Which algorithm is within so many times the best on most workloads?"
PROTOCOLS = ["algoperf"]


class Profile(NamedTuple):
    algorithm: str
    score: float
    rho: list[float]


class Profiles(NamedTuple):
    taus: list[float]
    profiles: list[Profile]


def data(result: Result, knobs: Knobs) -> Profiles:
    return Profiles(result.taus, [Profile(one.algorithm, one.score, one.profile) for one in result.scores])


def figure(data: Profiles) -> Json:
    if not data.profiles:
        return look.empty("No algorithm has been timed yet.")
    return {
        "data": [_trace(place, profile, data.taus) for place, profile in enumerate(data.profiles)],
        "layout": theme.layout(
            "times the fastest algorithm's time",
            "share of workloads",
            yaxis={"range": [-0.02, 1.05], "tickformat": ".0%"},
            showlegend=True,
            margin={"l": 54, "r": 16, "t": 26, "b": 40},
            meta=look.caption("B is the area below, from 0 to 1"),
        ),
    }


def _trace(place: int, profile: Profile, taus: list[float]) -> Json:
    name = f"{theme.plain(profile.algorithm)} · B {profile.score:.3f}"
    style = {"color": theme.colour(place), "width": 1.8, "shape": "hv"}
    return look.line(name, np.array(taus), np.array(profile.rho), style, "%{y:.0%}")
