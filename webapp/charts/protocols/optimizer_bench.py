"""The final loss of each tuned optimizer over the tokens that it was given, with the law of the first one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.measures.power_law import PowerLaw
from webapp.sweeps.protocols.optimizer_bench import Knobs, Result

TITLE = "Final loss by tokens"
QUESTION = "Which optimizer ends lowest, and how many tokens does it save?"
PROTOCOLS = ["optimizer_bench"]


class Line(NamedTuple):
    name: str
    tokens: list[int]
    losses: list[float]
    speedups: list[float | None]


class Curve(NamedTuple):
    name: str
    tokens: list[float]
    losses: list[float]


class Bench(NamedTuple):
    metric: str
    lines: list[Line]
    laws: list[Curve]
    flips: list[str]


def data(result: Result, knobs: Knobs) -> Bench:
    groups: dict[str, list[tuple[int, float, float | None]]] = {}
    for one in result.lines:
        groups.setdefault(f"{one.optimizer} {one.size}".strip(), []).append((one.tokens, one.loss, one.speedup))
    lines = []
    for name, points in groups.items():
        tokens, losses, speedups = zip(*sorted(points, key=lambda point: point[:2]), strict=True)
        lines.append(Line(name, list(tokens), list(losses), list(speedups)))
    flips = [f"{f.ahead_at_the_end} overtook {f.ahead_in_the_middle} {f.size}".strip() for f in result.flips]
    return Bench(knobs.metric, lines, _laws(result, knobs, lines), flips)


def _laws(result: Result, knobs: Knobs, lines: list[Line]) -> list[Curve]:
    every = [tokens for line in lines for tokens in line.tokens]
    if not every or min(every) == max(every):
        return []
    grid = np.geomspace(min(every), max(every), 40)
    return [
        Curve(
            f"law of {law.optimizer} {law.size}".strip(),
            grid.tolist(),
            [PowerLaw(law.floor, law.factor, law.exponent).at(amount) for amount in grid.tolist()],
        )
        for law in result.laws
        if law.optimizer == knobs.optimizers[0]
    ]


def figure(data: Bench) -> Json:
    if not data.lines:
        return look.empty("No optimizer has a final loss yet.")
    tokens = [amount for line in data.lines for amount in line.tokens]
    return {
        "data": [
            *(look.line(theme.plain(c.name), np.array(c.tokens), np.array(c.losses), _DOTTED, showlegend=False)
              for c in data.laws),
            *(_trace(place, line) for place, line in enumerate(data.lines)),
        ],
        "layout": theme.layout(
            "training tokens",
            theme.plain(data.metric),
            hovermode="closest",
            xaxis=look.log_axis(min(tokens), max(tokens)),
            annotations=[note for line in data.lines for note in _speedups(line)],
            showlegend=True,
            margin={"l": 54, "r": 16, "t": 26, "b": 40},
            meta=look.caption("dotted: fitted law of the first optimizer", *_told(data.flips)),
        ),
    }  # fmt: skip


_DOTTED = {"color": "--ink-3", "width": 1, "dash": "dot"}


def _told(flips: list[str]) -> list[str]:
    shown = "; ".join(flips[:3])
    return [f"after the middle {shown}{' and more' if len(flips) > 3 else ''}"] if flips else []


def _trace(place: int, line: Line) -> Json:
    colour = theme.colour(place)
    trace = look.line(
        theme.plain(line.name), np.array(line.tokens), np.array(line.losses), {"color": colour, "width": 1.7},
        "%{y:.5g} after %{x:,} tokens",
    )  # fmt: skip
    return trace | {"mode": "lines+markers", "marker": {"size": 7, "color": colour}}


def _speedups(line: Line) -> list[Json]:
    """Beside each point; annotations on a log axis stand at logarithms."""
    pairs = zip(line.tokens, line.losses, line.speedups, strict=True)
    return [
        theme.label(f"{speedup:.2f}x", float(np.log10(tokens)), loss, xshift=7, yshift=8)
        for tokens, loss, speedup in pairs
        if speedup is not None
    ]
