"""The page of mask overlap: which runs, by which names, and its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from webapp.charts.masks import MOST_PAIRS
from webapp.pages.runs.describe import method_of, number_at
from webapp.pages.runs.facts import NOTHING
from webapp.pages.templatetags import hone as text
from webapp.runs.models import Run
from webapp.sweeps.comparison.masks import Overlap


class PairRow(NamedTuple):
    one: Run
    other: Run
    overlap: str
    chance: str
    weights: str


class LayerRow(NamedTuple):
    name: str
    overlaps: list[str]


class Tables(NamedTuple):
    """`columns` are pairs of numbers; no layers where there are too many pairs to be read."""

    pairs: list[PairRow]
    columns: list[str]
    layers: list[LayerRow]


def name_of(run: Run) -> str:
    """ "12 Wanda 50 %"."""
    target = number_at(run.spec, "method", "sparsity")
    return " ".join(filter(None, [str(run.pk), method_of(run), text.percent(target) if target is not None else ""]))


def tables(overlap: Overlap, runs: Mapping[int, Run]) -> Tables:
    pairs = [
        PairRow(runs[pair.one], runs[pair.other], _share(pair.overlap), _share(pair.chance), text.si(pair.weights))
        for pair in overlap.pairs
    ]
    shown = overlap.pairs if len(overlap.pairs) <= MOST_PAIRS else []
    told = [{layer.name: layer.overlap for layer in pair.layers} for pair in shown]
    names = list(dict.fromkeys(layer.name for pair in shown for layer in pair.layers))
    layers = [LayerRow(name, [_share(found.get(name)) for found in told]) for name in names]
    return Tables(pairs, [f"{pair.one} and {pair.other}" for pair in shown], layers)


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"
