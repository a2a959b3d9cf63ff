"""The points of a fit as CSV, each with what the law says to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from webapp import spreadsheet


def points_csv(result: Mapping[str, Any]) -> Iterator[bytes]:
    """A row a point, fitted ones first. `residual` is on the scale of the fit: of logarithms, or of the values.

    A law that goes through optima has its predictions and residuals at these, so they are empty for the points.
    """
    law, points = result["law"], result["points"]
    names = [name for name in points["columns"] if name != law["target"]]
    yield _line(["row", "run", *names, law["target"], "predicted", "residual", "is_held_out"])
    yield from _fitted(result, names)
    for each in (result["holdout"] or {}).get("points", []):
        residual = _residual(result["residuals"]["scale"], each["measured"], each["predicted"])
        at = [each["at"].get(name) for name in names]
        yield _line([None, each["run"], *at, each["measured"], each["predicted"], residual, "true"])


def _fitted(result: Mapping[str, Any], names: list[str]) -> Iterator[bytes]:
    points, told = result["points"], result["residuals"]
    target = points["columns"].get(result["law"]["target"])
    is_told = target is not None and result["reduced"] is None
    for place, row in enumerate(points["rows"]):
        run = points["runs"][place] if points["runs"] else None
        at = [points["columns"][name][place] for name in names]
        said = [told["predicted"][place], told["values"][place]] if is_told else [None, None]
        yield _line([row, run, *at, target[place] if target else None, *said, "false"])


def _residual(scale: str, measured: Any, predicted: Any) -> float | None:
    if measured is None or predicted is None:
        return None
    if scale == "value":
        return float(measured - predicted)
    return math.log(measured) - math.log(predicted) if measured > 0 and predicted > 0 else None


def _line(cells: list[Any]) -> bytes:
    return spreadsheet.written([cells]).encode()
