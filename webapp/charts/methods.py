"""The charts of a comparison of methods: those of the Compare page, of each method by its best learning rate."""

from __future__ import annotations

from webapp.charts import comparison
from webapp.charts.comparison import Pareto
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.method_comparison import Result


def data(result: Result, measure: str) -> Pareto:
    """Raises KeyError for a measure that does not exist."""
    return comparison.data(result.comparison, measure)


def figure(data: Pareto) -> Json:
    if not data.dots:
        return look.empty(f"No method has a score and a measured {data.measure.label.lower()} yet.")
    return comparison.figure(data, is_small=True)
