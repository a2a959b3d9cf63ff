"""The quality of each criterion over the sparsity that was measured on the saved file."""

from __future__ import annotations

from webapp.charts import sparsity
from webapp.charts.sparsity import Curves
from webapp.charts.theme import Json
from webapp.sweeps.protocols.sparsity_accuracy import Knobs, Result

TITLE = "Sparsity and accuracy"
QUESTION = "How far can I prune, and by which criterion?"
PROTOCOLS = ["sparsity_accuracy"]
PLACE = 0
IS_WIDE = True


def data(result: Result, knobs: Knobs) -> Curves:
    return sparsity.data(result, knobs, lambda point: point.sparsity, marks=True)


def figure(data: Curves) -> Json:
    return sparsity.figure(data, "sparsity, share of weights removed", {"tickformat": ".0%"})
