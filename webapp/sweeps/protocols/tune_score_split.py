"""Tune on A, score on B: a configuration chosen on one data set, judged on another that it never saw.

The same points are trained on data A (the base run's) and on data B. The winner on A is frozen and its score on B is
what counts; how far it lies behind the best point on B (the regret) and Kendall's tau of both rankings say what tuning
on B itself would have added (Cha and Cho 2024: tune on one scenario, evaluate on another with other data).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from webapp.accounts.errors import Invalid
from webapp.sweeps import planning
from webapp.sweeps.measures import outcomes, reading
from webapp.sweeps.measures.ranking import ranks
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/2403.09066"


class Knobs(Base):
    name: Literal["tune_score_split"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    goal: Literal["minimize", "maximize"] = "minimize"
    score_on: str = Field("stdlib-source", max_length=200, description="Data B: a built-in one, or upload:3.")
    trials: int = Field(10, ge=2, le=10_000, description="Points that are tried.")
    seeds: int = Field(1, ge=1, le=100, description="Seeds of every point.")
    lr_low: float = Field(1e-4, gt=0, json_schema_extra={"log": True}, description="Lowest learning rate.")
    lr_high: float = Field(1e-2, gt=0, json_schema_extra={"log": True}, description="Highest learning rate.")


class Point(BaseModel):
    params: dict[str, Any]
    tuned: float | None = Field(description="On A.")
    scored: float | None = Field(description="On B.")
    tuned_rank: int | None
    scored_rank: int | None


class Result(outcomes.Result):
    winner: dict[str, Any] | None = Field(None, description="Chosen on A.")
    tuned: float | None = None
    scored: float | None = None
    gap: float | None = Field(None, description="On B less on A, as measured.")
    regret: float | None = Field(None, description="How much better the best point on B is there.")
    agreement: float | None = Field(None, description="Kendall's tau of both rankings.")
    points: list[Point] = []


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    """Two sweeps that draw the same points. Raises Invalid when both would use the same data."""
    other = _data(knobs.score_on)
    if _identity(other) == _identity(base.get("data") or {}):
        raise Invalid.field("score_on", f"Data B must not be the data tuned on: {knobs.score_on!r} is the base run's.")
    space = {"optimizer.lr": {"low": knobs.lr_low, "high": knobs.lr_high, "log": True}}
    planned = []
    for part, spec in (("tune", dict(base)), ("score", planning.changed(base, {"data": other}))):
        asked = planning.definition(
            spec, {"name": "random"}, space, knobs.metric, knobs.goal, trials=knobs.trials, seeds=knobs.seeds
        )
        planned.append(planning.Planned("Tune on A" if part == "tune" else "Score on B", asked, {"part": part}))
    return planned


def _data(text: str) -> planning.Json:
    if text.startswith("upload:") and text.removeprefix("upload:").isdecimal():
        return {"source": "upload", "upload": int(text.removeprefix("upload:"))}
    return {"source": "builtin", "name": text}


def _identity(data: Mapping[str, Any]) -> str:
    """What tells two data sources apart, whatever share of them is kept for evaluation."""
    kept = {key: data.get(key) for key in ("source", "name", "upload", "path", "id", "configuration", "split")}
    if kept["source"] is None:
        kept["source"] = "builtin"
    return json.dumps(kept, sort_keys=True)


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    """Raises Invalid when both parts used the same data."""
    seen, tuned = outcomes.outcomes(rows), reading.tuning(rows)
    _refuse_leak(tuned, labels)
    sign = 1.0 if knobs.goal == "minimize" else -1.0
    params = {_key(row): row.params for row in tuned}
    on_a, on_b = (_means(knobs, tuned, labels, part) for part in ("tune", "score"))
    ranks_a, ranks_b = _ranks(on_a, sign), _ranks(on_b, sign)
    points = [
        Point(
            params=params[k], tuned=on_a.get(k), scored=on_b.get(k), tuned_rank=ranks_a.get(k),
            scored_rank=ranks_b.get(k),
        )
        for k in sorted(params, key=lambda key: (ranks_a.get(key) or len(params) + 1, key))
    ]  # fmt: skip
    best = points[0] if points and points[0].tuned is not None else None
    scored = best.scored if best else None
    return Result(
        outcomes=seen,
        notes=outcomes.told(seen),
        winner=best.params if best else None,
        tuned=best.tuned if best else None,
        scored=scored,
        gap=scored - best.tuned if best and scored is not None and best.tuned is not None else None,
        regret=sign * scored - min(sign * value for value in on_b.values()) if scored is not None else None,
        agreement=_agreement(on_a, on_b),
        points=points,
    )


def _key(row: Row) -> str:
    return repr(sorted(row.params.items()))


def _means(knobs: Knobs, rows: list[Row], labels: Labels, part: str) -> dict[str, float]:
    mine = [row for row in rows if reading.label(labels, row, "part") == part]
    found = {key: reading.mean(reading.scores(of, knobs.metric)) for key, of in reading.grouped(mine, _key).items()}
    return {key: value for key, value in found.items() if value is not None}


def _ranks(means: Mapping[str, float], sign: float) -> dict[str, int | None]:
    return dict(zip(means, ranks([sign * value for value in means.values()]), strict=True))


def _agreement(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    from scipy.stats import kendalltau

    shared = sorted(set(one) & set(other))
    if len(shared) < 2:
        return None
    tau = float(kendalltau([one[key] for key in shared], [other[key] for key in shared]).statistic)
    return tau if math.isfinite(tau) else None  # nan when one of them never changes


def _refuse_leak(rows: Sequence[Row], labels: Labels) -> None:
    data: dict[str, set[str]] = {"tune": set(), "score": set()}
    for row in rows:
        part = reading.label(labels, row, "part")
        if part in data:
            data[part].add(_identity(reading.at(row.spec, "data") or {}))
    if data["tune"] & data["score"]:
        raise Invalid.field("data", "Tuning and scoring must not use the same data: the score would say nothing.")
