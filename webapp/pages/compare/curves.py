"""What is asked of the page of curves. It is its address, so that a link shows the same."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from django.urls import reverse
from pydantic import Field, field_validator

from webapp.charts.curves import groups_of, label_of
from webapp.metrics import ranges
from webapp.metrics.axes import AXES, METRIC
from webapp.metrics.models import Series
from webapp.pages.compare.asked import Asked
from webapp.pages.compare.choices import Option, Select
from webapp.runs.models import Run
from webapp.sweeps.comparison.address import parts

MOST_RUNS = 300
MOST_METRICS = 8
X_NAMES = {"step": "step", "relative": "time since start", "time": "time of day", "tokens": "tokens", "flops": "FLOPs"}
BANDS = {"": "single runs", "std": "mean ± std", "minmax": "mean, min to max", "ci95": "mean, 95 % CI"}


class Entry(NamedTuple):
    """A line of the legend: its run, or the members of its group, one click away."""

    label: str
    url: str
    runs: list[int]


class Curves(Asked):
    """`metrics`: a chart for each. `label`: paths of the spec by which runs are called. `group`: as of a comparison."""

    metrics: str = Field("", max_length=2000)
    x: str = Field("step", max_length=260)
    band: Literal["", "std", "minmax", "ci95"] = ""
    label: str = Field("", max_length=400)
    smoothing: float = Field(0.6, ge=0, lt=1)
    log_x: bool = False
    log_y: bool = False
    clip: bool = False

    @field_validator("x")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in AXES and not (name.startswith(METRIC) and len(name) > len(METRIC)):
            raise ValueError(f"x must be one of {', '.join(AXES)} or {METRIC}<name>, not {name!r}")
        return name

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(parts(self.metrics)))[:MOST_METRICS]

    @property
    def rest(self) -> list[tuple[str, str]]:
        """What the form has no field for."""
        told = self.model_dump(include={"project", "q", "status", "kind", "tag", "sweep"})
        return [(name, str(value)) for name, value in told.items() if value not in ("", None)]


def legend(asked: Curves, runs: Sequence[Run]) -> list[Entry]:
    """In the order of the lines."""
    if asked.band:
        groups = groups_of(runs, parts(asked.group))
        return [Entry(name, _members(asked, members), [run.pk for run in members]) for name, members in groups.items()]
    paths = parts(asked.label)
    return [Entry(label_of(run, paths), reverse("run", args=[run.project.slug, run.pk]), [run.pk]) for run in runs]


def _members(asked: Curves, runs: Sequence[Run]) -> str:
    chosen = dict.fromkeys(("project", "q", "status", "kind", "tag", "sweep", "band", "group"))
    return reverse("compare-curves") + asked.url_query(**chosen, runs=",".join(str(run.pk) for run in runs))


def selects(asked: Curves, known: Sequence[str]) -> list[Select]:
    """`known` are the metrics that may be on x."""
    metrics = {f"{METRIC}{name}": name for name in known}
    own = {asked.x: asked.x.removeprefix(METRIC)} if asked.x not in X_NAMES else {}
    return [
        _select("x", "x", {**X_NAMES, **own, **metrics}, asked.x),
        _select("band", "Show", BANDS, asked.band),
    ]


def rows(runs: Sequence[Run], names: Sequence[str]) -> Iterator[bytes]:
    """CSV of every point of every run."""
    yield b"run,run_name,metric,step,time,value\r\n"
    series = Series.objects.filter(run__in=[run.pk for run in runs], name__in=names, count__gt=0).order_by(
        "run", "name"
    )
    named = {run.pk: run.name for run in runs}
    for series_id, run_id, name in series.values_list("id", "run_id", "name"):
        for block in ranges.blocks(series_id):
            text = io.StringIO()
            columns = zip(block.steps.tolist(), block.times.tolist(), block.values.tolist(), strict=True)
            csv.writer(text).writerows((run_id, named[run_id], name, *row) for row in columns)
            yield text.getvalue().encode()


def _select(name: str, label: str, options: dict[str, str], chosen: str) -> Select:
    return Select(name, label, [Option(key, title, key == chosen) for key, title in options.items()])
