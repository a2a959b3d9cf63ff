"""The quality of each method over the time from loading to saving."""

from __future__ import annotations

from webapp.charts import methods
from webapp.charts.comparison import Pareto
from webapp.sweeps.protocols.method_comparison import Knobs, Result

PLACE = 50
TITLE = "Quality against time"
QUESTION = "What is ready soonest?"
PROTOCOLS = ["method_comparison"]
figure = methods.figure


def data(result: Result, knobs: Knobs) -> Pareto:
    return methods.data(result, "wall_time_s")
