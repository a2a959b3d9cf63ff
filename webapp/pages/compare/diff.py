"""What is asked of the page that holds runs side by side, and what its cells say."""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

from django.urls import reverse
from pydantic import Field

from webapp.pages.compare.asked import Asked
from webapp.pages.compare.choices import Option, Select
from webapp.pages.templatetags import hone as text
from webapp.runs.models import Run
from webapp.sweeps.comparison.address import parts
from webapp.sweeps.comparison.diff import AGGREGATES, MISSING, Aggregate, Diff, Measured, Setting

MOST_METRICS = 60
LONGEST_VALUE = 80
VALUES = {"": "all four", "last": "last", "min": "min", "max": "max", "mean": "mean"}
NOT_MINE = ("metrics", "value")


class Differences(Asked):
    """`metrics`: which ones, all when empty. `value`: the aggregate that is shown, all when empty."""

    metrics: str = Field("", max_length=4000)
    value: Literal["", "last", "min", "max", "mean"] = ""

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(parts(self.metrics)))

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        return (self.value,) if self.value else AGGREGATES

    @property
    def rest(self) -> list[tuple[str, str]]:
        """What the form has no field for."""
        told = self.model_dump(include={"runs", "project", "q", "status", "kind", "tag", "sweep", "baseline"})
        return [(name, str(value)) for name, value in told.items() if value not in ("", None)]

    @property
    def select(self) -> Select:
        return Select("value", "Values", [Option(name, title, name == self.value) for name, title in VALUES.items()])


class Head(NamedTuple):
    run: Run
    url: str
    is_baseline: bool
    baseline_url: str


class Cell(NamedTuple):
    """`full` is what `text` cuts."""

    text: str
    note: str = ""
    is_marked: bool = False
    is_dim: bool = False
    full: str = ""


class Row(NamedTuple):
    """`head` is empty where it is that of the row above."""

    head: str
    label: str
    cells: list[Cell]


def heads(asked: Differences, found: Diff) -> list[Head]:
    return [
        Head(
            run, reverse("run", args=[run.project.slug, run.pk]), place == found.baseline,
            asked.url_query(baseline=run.pk),
        )
        for place, run in enumerate(found.runs)
    ]  # fmt: skip


def setting_rows(found: Diff, settings: list[Setting]) -> list[Row]:
    return [Row(one.path, "", [_setting(one, place, found) for place in range(len(found.runs))]) for one in settings]


def metric_rows(found: Diff) -> list[Row]:
    rows: list[Row] = []
    for one in found.metrics:
        is_first = not rows or found.metrics[len(rows) - 1].metric != one.metric
        cells = [_value(one, place, found.baseline) for place in range(len(found.runs))]
        rows.append(Row(one.metric if is_first else "", one.aggregate, cells))
    return rows


def _setting(setting: Setting, place: int, found: Diff) -> Cell:
    """Dim where it is as the baseline has it."""
    value = setting.values[place]
    full = _told(value)
    is_cut = len(full) > LONGEST_VALUE
    return Cell(
        f"{full[:LONGEST_VALUE]}…" if is_cut else full,
        is_marked=setting.differs(place, found.baseline),
        is_dim=value is MISSING or (place != found.baseline and not setting.differs(place, found.baseline)),
        full=full if is_cut else "",
    )


def _told(value: Any) -> str:
    if value is MISSING:
        return "missing"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _value(measured: Measured, place: int, baseline: int) -> Cell:
    value = measured.values[place]
    if value is None:
        return Cell("", is_dim=True)
    return Cell(text.metric(value), _difference(measured, place, baseline), is_marked=place in measured.best)


def _difference(measured: Measured, place: int, baseline: int) -> str:
    difference, relative = measured.difference(place, baseline), measured.relative(place, baseline)
    if difference is None:
        return ""
    told = f"{difference:+.3g}" if difference else "0"
    return told if relative is None else f"{told} ({_percent(relative * 100)} %)"


def _percent(value: float) -> str:
    """Two significant digits, whole numbers from a hundred on: +0.15, -12, +1,612, +2.5e9."""
    return f"{value:+,.0f}" if 100 <= abs(value) < 1e6 else f"{value:+.2g}".replace("e+0", "e").replace("e+", "e")
