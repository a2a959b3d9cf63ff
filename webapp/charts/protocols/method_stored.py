"""The quality of each method over the bytes that it leaves for one task."""

from __future__ import annotations

from webapp.charts import methods
from webapp.charts.comparison import Pareto
from webapp.sweeps.protocols.method_comparison import Knobs, Result

PLACE = 20
TITLE = "Quality against stored bytes"
QUESTION = "What does a task cost on disk?"
PROTOCOLS = ["method_comparison"]
figure = methods.figure


def data(result: Result, knobs: Knobs) -> Pareto:
    return methods.data(result, "stored_bytes")
