"""The quality of each method over the energy that its GPUs took."""

from __future__ import annotations

from webapp.charts import methods
from webapp.charts.comparison import Pareto
from webapp.sweeps.protocols.method_comparison import Knobs, Result

PLACE = 70
TITLE = "Quality against energy"
QUESTION = "What takes least energy?"
PROTOCOLS = ["method_comparison"]
figure = methods.figure


def data(result: Result, knobs: Knobs) -> Pareto:
    return methods.data(result, "energy_kwh")
