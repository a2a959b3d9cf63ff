"""Tasks by models: what base, experts and every merge of the same experts keep of each task's expert."""

from __future__ import annotations

from typing import Any, NamedTuple

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.runs.models import Run
from webapp.runs.states import Status

MOST_RUNS = 60


class Heat(NamedTuple):
    """`kept[m][t]`: how near models[m] is to the expert of tasks[t], 1 at it; `scores` are what was measured."""

    metric: str
    tasks: list[str]
    models: list[str]
    kept: list[list[float | None]]
    scores: list[list[float | None]]


def peers(run: Run) -> list[Run]:
    """The merges of the same base and experts in its project that have ended well, this one among them."""
    told = Run.objects.filter(project=run.project, kind="merge", status=Status.SUCCEEDED, spec__base=run.spec["base"])
    models = [expert["model"] for expert in run.spec["experts"]]
    same = [
        found
        for found in told.order_by("pk")
        if [expert["model"] for expert in found.spec["experts"]] == models and _scores(found)
    ]
    return same[-MOST_RUNS:]


def data(run: Run) -> Heat:
    """Rows: the base, the experts, then the merges, the best first by the mean of what they keep."""
    own, scores = run.result or {}, _scores(run)
    tasks = list(own.get("tasks", []))
    named = {"base": scores.get("base", {}), **{f"expert {n}": s for n, s in scores.get("experts", {}).items()}}
    best = _best(own)
    merges = {f"{found.spec['method']['name']} ({found.pk})": _scores(found).get("merged", {}) for found in peers(run)}
    smaller = str(scores.get("metric", "")).endswith(("loss", "perplexity"))
    rows = [(name, *_row(tasks, told, best, smaller=smaller)) for name, told in named.items()]
    rows += sorted(
        ((name, *_row(tasks, told, best, smaller=smaller)) for name, told in merges.items()),
        key=lambda row: -_mean(row[1]),
    )
    return Heat(
        str(scores.get("metric", "")), tasks, [row[0] for row in rows], [r[1] for r in rows], [r[2] for r in rows]
    )


def _scores(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = (run.result or {}).get("scores") or {}
    return found


def _best(result: dict[str, Any]) -> dict[str, float]:
    """What the expert of each task scores on it."""
    tasks, told = result.get("tasks", []), _experts(result)
    own = {tasks[expert["task"]]: expert["name"] for expert in result.get("experts", []) if expert["task"] is not None}
    return {task: told[name][task] for task, name in own.items() if task in told.get(name, {})}


def _experts(result: dict[str, Any]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = (result.get("scores") or {}).get("experts") or {}
    return found


def _row(
    tasks: list[str], told: dict[str, Any], best: dict[str, float], *, smaller: bool
) -> tuple[list[float | None], list[float | None]]:
    scores = [value if isinstance(value := told.get(task), int | float) else None for task in tasks]
    kept = [_kept(score, best.get(task), smaller=smaller) for task, score in zip(tasks, scores, strict=True)]
    return kept, scores


def _kept(score: float | None, expert: float | None, *, smaller: bool) -> float | None:
    if not score or not expert:
        return None
    return expert / score if smaller else score / expert


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def figure(data: Heat) -> Json:
    if not any(value is not None for row in data.kept for value in row):
        return look.empty("No expert was judged on a task of its own, so there is nothing to hold a merge against.")
    texts = [["" if value is None else f"{value:.3g}" for value in row] for row in data.scores]
    heat = {
        "type": "heatmap", "x": [theme.plain(name) for name in data.tasks], "y": list(map(theme.plain, data.models)),
        "z": data.kept, "zmax": 1, "text": texts, "texttemplate": "%{text}", "colorscale": look.SCALE,
        "reversescale": True, "xgap": 2, "ygap": 2, "showscale": False,
        "hovertemplate": "%{y} on %{x}<br>%{text}, %{z:.1%} of the task's expert<extra></extra>",
    }  # fmt: skip
    axis = {"type": "category", "ticks": "", "showgrid": False, "automargin": True}
    layout = theme.layout(
        "tasks", hovermode="closest", height=120 + 26 * len(data.models), xaxis=axis,
        yaxis={**axis, "autorange": "reversed"},
        meta=look.caption(f"{data.metric}; the colour says how near it comes to the task's own expert"),
    )  # fmt: skip
    return {"data": [heat], "layout": layout}
