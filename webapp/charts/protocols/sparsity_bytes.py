"""The quality of each criterion over the bytes of the saved model; a dense file of zeros is not smaller."""

from __future__ import annotations

from webapp.charts import sparsity
from webapp.charts.sparsity import Curves
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.sparsity_accuracy import Knobs, Result

TITLE = "Quality and bytes"
QUESTION = "What does a smaller file cost?"
PROTOCOLS = ["sparsity_accuracy"]
PLACE = 2


def data(result: Result, knobs: Knobs) -> Curves:
    return sparsity.data(result, knobs, lambda point: point.stored_bytes or None, marks=False)


def figure(data: Curves) -> Json:
    xs = [x for line in data.lines for x in line.xs]
    return sparsity.figure(data, "stored bytes", look.log_axis(min(xs), max(xs), few=True) if xs else {})
