"""The best parameters and tokens of each budget with their bands, and what they are at one budget that is chosen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.scaling import drawing, paths
from webapp.charts.sweeps import look
from webapp.charts.sweeps.options import Choice, Option
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.scaling.reading import Optimum, Reading

PLACE = 30
TITLE = "Compute-optimal frontier"
QUESTION = "How large a model, and how many tokens, is a budget worth?"
IS_WIDE = False
USUAL = 20.0  # tokens per parameter, for comparison
SIDES = (("N", "parameters N", "--series-1"), ("D", "tokens D", "--series-3"))


class Frontier(NamedTuple):
    """`line` along compute and `chosen` at one budget; `optima` (C, N) are those that the law goes through, if any."""

    line: Optimum
    chosen: Optimum
    optima: tuple[Float64, Float64]
    largest: float
    words: list[str]


def applies(reading: Reading) -> bool:
    return reading.has_optimum


def options(reading: Reading) -> list[Option]:
    asked = [each["compute"] for each in reading.result.get("frontier") or []] or [paths.farthest(reading)]
    choices = [Choice(f"{value:.4g}", f"{drawing.amount(value)} FLOPs") for value in sorted(asked, reverse=True)]
    return [Option("budget", "budget, FLOPs", choices, is_open=True)]


def data(reading: Reading, budget: str) -> Frontier:
    """Raises ValueError for a budget that is no positive number."""
    measured, asked = paths.compute_of(reading), float(budget)
    if not 0 < asked < np.inf:
        raise ValueError(f"budget must be a positive number of FLOPs, not {budget}")
    low, high = min(measured.min(), asked), max(measured.max(), asked, paths.farthest(reading))
    line = reading.optimum(np.geomspace(low / 1.5, high * 1.5, paths.STEPS))
    chosen = reading.optimum(asked)
    assert line is not None and chosen is not None
    through = reading.through
    optima = (through["C"], through["N_opt"]) if "N_opt" in through else (np.empty(0), np.empty(0))
    words = [in_words(chosen), drawing.bands_in_words(reading)]
    return Frontier(line, chosen, optima, float(measured.max()), words)


def in_words(chosen: Optimum, place: int = 0) -> str:
    """What a budget is worth, in one sentence; the page can show it without the chart."""
    size, tokens, loss = (
        f"{drawing.short(side[place]) if name == 'loss' else drawing.amount(side[place])} "
        f"{drawing.between(low[place], high[place])}".strip()
        for name, side, low, high in (
            ("N", chosen.N, chosen.N_low, chosen.N_high),
            ("D", chosen.D, chosen.D_low, chosen.D_high),
            ("loss", chosen.loss, chosen.loss_low, chosen.loss_high),
        )
    )
    ratio = chosen.D[place] / chosen.N[place]
    told = f"{drawing.amount(chosen.compute[place])} FLOPs: N {size}, D {tokens}, {ratio:.3g} tokens per parameter"
    return told if np.isnan(chosen.loss[place]) else f"{told}, loss {loss}"


def figure(data: Frontier) -> Json:
    line = data.line
    spans = [line.N, line.N_low, line.N_high, line.D, line.D_low, line.D_high]
    budget = float(data.chosen.compute[0])
    return {
        "data": [
            *_usual(line.compute), *(trace for side in SIDES for trace in _side(data, *side)), *_optima(data),
        ],
        "layout": theme.layout(
            "training compute, FLOPs",
            "parameters and tokens",
            hovermode="closest",
            margin={"l": 54, "r": 34, "t": 6, "b": 40},
            xaxis=drawing.axis([line.compute], is_log=True, room=0.0),
            yaxis=drawing.axis(spans, is_log=True),
            shapes=[theme.vertical(budget, "--ink-3"), theme.vertical(data.largest, "--ink-3/0.4", "dash")],
            annotations=[_name(line, *side) for side in SIDES],
            meta=look.caption(
                *data.words, "dotted: this budget", "dashed: the largest fitted run",
                f"grey: {USUAL:g} tokens per parameter",
            ),
        ),
    }  # fmt: skip


def _side(data: Frontier, name: str, title: str, colour: str) -> list[Json]:
    value, low, high = (getattr(data.line, f"{name}{end}") for end in ("", "_low", "_high"))
    at, *ends = (getattr(data.chosen, f"{name}{end}")[0] for end in ("", "_low", "_high"))
    hover = f"best {title} %{{y:.3g}} at %{{x:.3g}} FLOPs"
    budget = drawing.amount(float(data.chosen.compute[0]))
    told = [[None, f"best {title} {drawing.amount(at)} {drawing.between(*ends)} at {budget} FLOPs"]]
    return [
        *drawing.band(data.line.compute, low, high, colour),
        look.line(title, data.line.compute, value, {"color": colour, "width": 2}, hover),
        drawing.points(title, data.chosen.compute, np.array([at]), told, {**drawing.DIAMOND, "color": colour}),
    ]


def _name(line: Optimum, name: str, title: str, colour: str) -> Json:
    """At the right end, outside."""
    end = float(np.log10(line.compute[-1])), float(np.log10(getattr(line, name)[-1]))
    return theme.label(f"{name}*", *end, xshift=4, font={"size": 11, "color": colour})


def _usual(compute: Float64) -> list[Json]:
    size = np.sqrt(compute / (6 * USUAL))
    style = {"color": "--ink-3/0.6", "width": 1, "dash": "dash"}
    hover = f"%{{y:.3g}} at {USUAL:g} tokens per parameter, %{{x:.3g}} FLOPs"
    return [look.line("usual", compute, side, style, hover) for side in (size, USUAL * size)]


def _optima(data: Frontier) -> list[Json]:
    """What isoflop and envelope go through."""
    compute, size = data.optima
    told = [
        [None, f"best N {drawing.amount(n)} at {drawing.amount(c)} FLOPs"] for c, n in zip(compute, size, strict=True)
    ]
    marker = {"size": 5, "color": "--series-1/0.6"}
    return [drawing.points("optima", compute, size, told, marker)] if len(compute) else []
