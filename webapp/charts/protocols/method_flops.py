"""The quality of each method over the computation of its training."""

from __future__ import annotations

from webapp.charts import methods
from webapp.charts.comparison import Pareto
from webapp.sweeps.protocols.method_comparison import Knobs, Result

PLACE = 60
TITLE = "Quality against FLOPs"
QUESTION = "What does quality cost in computation?"
PROTOCOLS = ["method_comparison"]
figure = methods.figure


def data(result: Result, knobs: Knobs) -> Pareto:
    return methods.data(result, "flops")
