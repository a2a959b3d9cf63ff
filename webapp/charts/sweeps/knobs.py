"""Axes of knobs: numbers, their logarithms, or categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.sweeps.options import Option, option
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.sweeps.definition import Choices, Definition, Dimension


class Knob(NamedTuple):
    """A knob over n trials. `values` (n,) are numbers, or places in `categories` (empty for numbers); NaN: inactive."""

    path: str
    values: Float64
    categories: list[str]
    is_log: bool

    @property
    def is_active(self) -> NDArray[np.bool_]:
        return np.isfinite(self.values)

    @property
    def scaled(self) -> Float64:
        """(n,) from 0 to 1 over what was tried, as it is drawn."""
        values = np.log(self.values) if self.is_log else self.values
        low, high = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
        return np.asarray((values - low) / ((high - low) or 1.0), np.float64)


def knob(path: str, dimension: Dimension, params: Sequence[Mapping[str, Any]]) -> Knob:
    told = [point.get(path) for point in params]
    active = [path in point for point in params]
    if isinstance(dimension, Choices):
        names = [written(choice) for choice in dimension.choices]
        words = [written(value) if is_on else "" for value, is_on in zip(told, active, strict=True)]
        names = list(dict.fromkeys([*names, *(word for word, is_on in zip(words, active, strict=True) if is_on)]))
        places = [names.index(word) if is_on else np.nan for word, is_on in zip(words, active, strict=True)]
        return Knob(path, np.array(places, np.float64), names, False)
    numbers = [value if isinstance(value, int | float) else np.nan for value in told]
    return Knob(path, np.array(numbers, np.float64), [], dimension.log)


def axis(knob: Knob, few: bool = False) -> Json:
    """Of a Plotly layout, without its title; with `few` ticks where it is short."""
    if knob.categories:
        ticks = {"tickvals": list(range(len(knob.categories))), "ticktext": [theme.plain(n) for n in knob.categories]}
        return {"range": [-0.5, len(knob.categories) - 0.5], **ticks}
    if knob.is_log and knob.is_active.any():
        return look.log_axis(float(np.nanmin(knob.values)), float(np.nanmax(knob.values)), few)
    return {"type": "linear"}


def drawn(knob: Knob, seed: int = 0) -> Float64:
    """Where the points stand: those of a category a little apart, the same way each time."""
    if not knob.categories:
        return knob.values
    return np.asarray(knob.values + np.random.default_rng(seed).uniform(-0.14, 0.14, len(knob.values)), np.float64)


def words(knob: Knob) -> list[str]:
    """What each trial has chosen, as people may have named it."""
    if knob.categories:
        return [knob.categories[int(place)] if place == place else "off" for place in knob.values]
    return [f"{value:.4g}" if value == value else "off" for value in knob.values.tolist()]


def written(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def chosen(name: str, title: str, definition: Definition, first: int = 0) -> Option:
    """Which knob: numbers before choices, and the one that is then in place `first` is the default."""
    space = definition.search.space
    paths = sorted(space, key=lambda path: isinstance(space[path], Choices))
    return option(name, title, [(path, path) for path in [*paths[first:], *paths[:first]]])
