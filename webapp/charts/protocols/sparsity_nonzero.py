"""The quality of each criterion over the parameters that are not 0, those that are never pruned included."""

from __future__ import annotations

from webapp.charts import sparsity
from webapp.charts.sparsity import Curves
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.sparsity_accuracy import Knobs, Result

TITLE = "Quality and parameters left"
QUESTION = "Which criterion is best at a given number of parameters?"
PROTOCOLS = ["sparsity_accuracy"]
PLACE = 1


def data(result: Result, knobs: Knobs) -> Curves:
    return sparsity.data(result, knobs, lambda point: point.nonzero or None, marks=False)


def figure(data: Curves) -> Json:
    xs = [x for line in data.lines for x in line.xs]
    return sparsity.figure(data, "parameters that are not 0", look.log_axis(min(xs), max(xs)) if xs else {})
