"""The points that were held out: foreseen against measured, with the interval that was stated for each."""

from __future__ import annotations

from webapp.charts.scaling import agreement, drawing
from webapp.charts.scaling.agreement import Agreement, Group
from webapp.charts.scaling.held import held_out
from webapp.charts.sweeps.options import Option
from webapp.charts.theme import Json
from webapp.scaling.reading import Reading

PLACE = 50
TITLE = "Held-out points"
QUESTION = "Did the law foresee what it was not fitted to?"
IS_WIDE = False


def applies(reading: Reading) -> bool:
    return bool(reading.result["holdout"])


def options(reading: Reading) -> list[Option]:
    return []


def data(reading: Reading) -> Agreement:
    told = reading.result["holdout"]
    held = held_out(reading, lambda at: 0.0)
    words = [
        f"{told['rule']}: off by {told['mean_relative_error']:.2%} on average, {told['max_relative_error']:.2%} at most"
    ]
    words += [] if told["inside"] is None else [agreement.inside_in_words(held)]
    return Agreement(drawing.target_of(reading), [Group("held out", held)], words)


def figure(data: Agreement) -> Json:
    return agreement.figure(data, "No point that was held out has the law's variables.")
