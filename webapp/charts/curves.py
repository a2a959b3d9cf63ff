"""One metric of many runs: a line each, or a mean with its band for each group of them.

The page draws them itself (static/js/curves.js): a hundred lines are painted on a canvas in a few milliseconds, where
as many traces take a second. So what is told here are numbers, packed; smoothing and colours are the page's.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from webapp.charts import theme
from webapp.charts.theme import Json
from webapp.metrics import bands, queries
from webapp.metrics.axes import METRIC, AxisName, Values
from webapp.metrics.errors import Invalid
from webapp.metrics.placing import axes_of
from webapp.metrics.points import Float64, Points
from webapp.runs.models import Run

MOST_POINTS = 120_000  # of all lines together: more than a screen can show
MOST_BAND_POINTS = 5_000_000  # that a band may read
SEED, TAG = "seed", "tag"
TITLES: dict[AxisName, str] = {
    "step": "step",
    "time": "time of day",
    "relative": "seconds since the start",
    "tokens": "tokens",
    "flops": "FLOPs",
}


class Line(NamedTuple):
    """`lower` and `upper` are those of a band. `count` is how many points there are between the ends that are shown."""

    label: str
    runs: list[int]
    x: NDArray[Any]
    y: Float64
    lower: Float64 | None
    upper: Float64 | None
    count: int  # type: ignore[assignment]  # shadows tuple.count


class CurvesData(NamedTuple):
    name: str
    x_axis: AxisName
    lines: list[Line]
    without: int  # runs that lack the metric or the axis


class View(NamedTuple):
    """What of the runs is shown: over which x, between which of its values, in about how many points a line."""

    x: AxisName = "step"
    start: float | None = None
    stop: float | None = None
    points: int = 1000


def data(runs: Sequence[Run], name: str, view: View, *, label: Sequence[str] = ()) -> CurvesData:
    """A line for each run that has the metric and the axis, named by the values of its spec at `label`'s paths."""
    points = max(8, min(view.points, MOST_POINTS // max(len(runs), 1)))
    windows = queries.windows([run.pk for run in runs], name, **(view._asdict() | {"points": points}))
    lines = [
        Line(label_of(run, label), [run.pk], shown.x, shown.y, None, None, shown.count)
        for run in runs
        if (shown := windows.get(run.pk)) is not None
    ]
    return CurvesData(name, view.x, lines, len(runs) - len(lines))


def newer(runs: Sequence[Run], name: str, view: View, since: Mapping[int, float]) -> CurvesData:
    """What has come to some runs: the points of each from an x on that it had. Runs without news have no line."""
    asked = [run for run in runs if run.pk in since]
    if view.x == "step":  # known without reading a point
        last = queries.summaries([run.pk for run in asked], [name])
        asked = [run for run in asked if name in last[run.pk] and last[run.pk][name].last_step != since[run.pk]]
    each = [data([run], name, view._replace(start=since[run.pk])) for run in asked]
    return CurvesData(name, view.x, [line for one in each for line in one.lines], sum(one.without for one in each))


def grouped(runs: Sequence[Run], name: str, view: View, *, band: str, group: Sequence[str] = ()) -> CurvesData:
    """A mean with its band for each group of runs that agree at `group`'s paths, or in all but the seed.

    Raises Invalid where x is no axis that ascends, and where more points would be read than is sensible.
    """
    _refuse_costly(runs, name)
    ids = [run.pk for run in runs]
    found, axes = queries.raw_of(ids, name), axes_of(ids, view.x)
    if any(isinstance(axis, Values) for axis in axes.values()):
        message = f"A band is taken over an x that only grows, so x must not be {view.x!r}: show single runs over it."
        raise Invalid([{"loc": ["x"], "msg": message}])
    members = [run for run in runs if run.pk in found and run.pk in axes]
    lines = []
    for title, group_runs in groups_of(members, group).items():
        placed = [_ascending(axes[run.pk].x(found[run.pk]), found[run.pk]) for run in group_runs]
        full = bands.between(bands.pooled(placed, band), view.start, view.stop)
        shown = bands.thinned(full, view.points)
        line = Line(title, [run.pk for run in group_runs], shown.steps, shown.mean, shown.lower, shown.upper, 0)
        lines.append(line._replace(count=len(full.steps)))
    return CurvesData(name, view.x, lines, len(runs) - len(members))


def groups_of(runs: Sequence[Run], paths: Sequence[str]) -> dict[str, list[Run]]:
    """By what they are called: the values at the paths, or, without paths, the name of the first of those alike."""
    by_key: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.pk):
        alike = json.dumps(_without_seed(run.spec) or run.name, sort_keys=True)
        for key in _labels(run, paths) if paths else [alike]:
            by_key.setdefault(key, []).append(run)
    if paths:
        return by_key
    named: dict[str, list[Run]] = {}
    for group in by_key.values():
        name = group[0].name if group[0].name not in named else f"{group[0].name} #{group[0].pk}"
        named[name] = group
    return named


def label_of(run: Run, paths: Sequence[str]) -> str:
    return " · ".join(_value(run, path) for path in paths) if paths else run.name


def _labels(run: Run, paths: Sequence[str]) -> list[str]:
    """What its groups are called: with `tag` among the paths, one for each of its tags."""
    each = [run.tags or ["no tag"] if path == TAG else [_value(run, path)] for path in paths]
    return list(dict.fromkeys(" · ".join(values) for values in product(*each)))


def title_of(x: AxisName) -> str:
    return TITLES.get(x) or theme.plain(x.removeprefix(METRIC))


def packed(data: CurvesData) -> Json:
    """For static/js/curves.js: arrays as base64 of little-endian float64."""
    return {
        "name": data.name,
        "x_axis": data.x_axis,
        "x_title": title_of(data.x_axis),
        "without": data.without,
        "lines": [
            {
                "label": line.label,
                "runs": line.runs,
                "count": line.count,
                "x": _bytes(line.x),
                "y": _bytes(line.y),
                "lower": None if line.lower is None else _bytes(line.lower),
                "upper": None if line.upper is None else _bytes(line.upper),
            }
            for line in data.lines
        ],
    }


def _bytes(values: NDArray[Any]) -> str:
    return base64.b64encode(values.astype("<f8").tobytes()).decode()


def _ascending(x: NDArray[Any], points: Points) -> tuple[NDArray[Any], Float64]:
    """Sorted by x, one point at each: time may go back, and tokens stand still."""
    chosen = np.unique(x, return_index=True)[1]
    return x[chosen], points.values[chosen]


def _value(run: Run, path: str) -> str:
    """Of the run its name, status, kind, user or tags, else of its spec, as `optimizer.lr` or `spec.optimizer.lr`."""
    if path in ("name", "status", "kind"):
        return str(getattr(run, path))
    if path == "user":
        return run.created_by.username if run.created_by else "no user"
    if path in ("tags", TAG):
        return ", ".join(run.tags) or "no tag"
    value: Any = run.spec
    for key in path.removeprefix("spec.").removeprefix("params.").split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return f"no {path}" if value is None else str(value)


def _without_seed(spec: Any) -> Any:
    return {key: value for key, value in spec.items() if key != SEED} if isinstance(spec, dict) else spec


def _refuse_costly(runs: Sequence[Run], name: str) -> None:
    total = sum(told[name].count for told in queries.summaries([run.pk for run in runs], [name]).values() if told)
    if total > MOST_BAND_POINTS:
        message = f"A band reads every point: {total:,} are more than {MOST_BAND_POINTS:,}; choose fewer runs."
        raise Invalid([{"loc": ["band"], "msg": message}])
