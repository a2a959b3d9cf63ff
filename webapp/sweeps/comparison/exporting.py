"""A comparison as a CSV file: one row a group, every number in full."""

from __future__ import annotations

import json
from typing import Any

from webapp import spreadsheet
from webapp.sweeps.comparison.measured import MEASURES
from webapp.sweeps.comparison.results import Amount, Comparison, Line


def csv_of(comparison: Comparison) -> str:
    return spreadsheet.written([_names(comparison), *map(_values, comparison.lines)])


def _names(comparison: Comparison) -> list[str]:
    metric = comparison.question.metric
    measures = [f"{name}{part}" for name in MEASURES for part in ("", ".low", ".high", ".ratio")]
    return [
        "group", "label", "method", "settings", "runs", "seeds", "outcomes", "verdict", metric, f"{metric}.low",
        f"{metric}.high", "n", "test", "pairs", "difference", "difference.low", "difference.high", "p", "relative",
        "relative.low", "relative.high", "budget", "within_budget", *measures,
    ]  # fmt: skip


def _values(line: Line) -> list[Any]:
    against = line.against
    told = [None] * 9 if against is None else [
        against.test, against.pairs, against.difference, against.low, against.high, against.p_value, against.relative,
        against.relative_low, against.relative_high,
    ]  # fmt: skip
    measures = [value for name in MEASURES for value in (*_amount(line.measures[name])[:3], line.ratios[name])]
    return [
        line.key, line.label, line.method, json.dumps(line.settings), " ".join(map(str, line.runs)),
        " ".join(map(str, line.seeds)), json.dumps(line.outcomes), line.verdict, *_amount(line.quality), *told,
        line.budget, line.is_within, *measures,
    ]  # fmt: skip


def _amount(amount: Amount | None) -> tuple[float | None, float | None, float | None, int | None]:
    return (amount.mean, amount.low, amount.high, amount.n) if amount else (None, None, None, None)
