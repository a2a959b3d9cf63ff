"""The quality of each method over the share of all parameters that it trains."""

from __future__ import annotations

from webapp.charts import methods
from webapp.charts.comparison import Pareto
from webapp.sweeps.protocols.method_comparison import Knobs, Result

PLACE = 10
TITLE = "Quality against trained share"
QUESTION = "How little is it enough to train?"
PROTOCOLS = ["method_comparison"]
figure = methods.figure


def data(result: Result, knobs: Knobs) -> Pareto:
    return methods.data(result, "trainable_share")
