"""The quality of each method over the memory that its training took."""

from __future__ import annotations

from webapp.charts import methods
from webapp.charts.comparison import Pareto
from webapp.sweeps.protocols.method_comparison import Knobs, Result

PLACE = 30
TITLE = "Quality against memory"
QUESTION = "What fits into less memory, and is it worse?"
PROTOCOLS = ["method_comparison"]
figure = methods.figure


def data(result: Result, knobs: Knobs) -> Pareto:
    return methods.data(result, "memory_bytes")
