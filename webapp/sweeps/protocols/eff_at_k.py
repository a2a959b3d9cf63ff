"""Best of k: what k trials of a search are worth on average, computed exactly from all of its trials.

    eff@k = sum over r = k..n of C(r-1, k-1) / C(n, k) e_(r)        e = max(0, (limit - v) / (limit - reference))

e is sorted ascending; a trial that was censored, failed or diverged has e = 0 (ENAMEL, Qiu et al. 2024; the code's
calc_eff and calc_eff_at_k). 1 is as good as the reference, 0 as bad as the limit; both are in units of the metric.
Empty ones are the best and the worst value that was measured. Claim: 30 language models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from webapp.sweeps import planning
from webapp.sweeps.measures import outcomes, reading
from webapp.sweeps.measures.best_of_k import best_of_k, efficiency
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row
from webapp.sweeps.states import OPEN, TrialStatus

PAPER = "https://arxiv.org/abs/2406.06647"


class Knobs(Base):
    name: Literal["eff_at_k"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    goal: Literal["minimize", "maximize"] = "minimize"
    ks: list[int] = Field([], max_length=50, description="Numbers of trials. Empty: powers of two, and all.")
    limit: float | None = Field(None, description="As bad as counts; empty: the worst that was measured.")
    reference: float | None = Field(None, description="As good as the reference; empty: the best that was measured.")
    trials: int = Field(16, ge=1, le=100_000, description="Points that are tried.")
    lr_low: float = Field(1e-4, gt=0, json_schema_extra={"log": True}, description="Lowest learning rate.")
    lr_high: float = Field(1e-2, gt=0, json_schema_extra={"log": True}, description="Highest learning rate.")


class Best(BaseModel):
    sweep: int
    k: int
    efficiency: float = Field(description="eff@k.")
    value: float = Field(description="The same in units of the metric.")


class Result(outcomes.Result):
    bests: list[Best] = []
    limit: float | None = None
    reference: float | None = None


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    """Random search: only draws that don't learn from each other have an expected best of k."""
    space = {"optimizer.lr": {"low": knobs.lr_low, "high": knobs.lr_high, "log": True}}
    asked = planning.definition(base, {"name": "random"}, space, knobs.metric, knobs.goal, trials=knobs.trials)
    return [planning.Planned(f"{knobs.trials} random trials", asked, {})]


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen, tuned = outcomes.outcomes(rows), reading.tuning(rows)
    sweeps = reading.grouped(tuned, lambda row: row.sweep)
    values = {sweep: _values(knobs, of) for sweep, of in sweeps.items()}
    known = [value for of in values.values() for value in of if value is not None]
    limit, reference = _ends(knobs, known)
    notes = outcomes.told(seen)
    if known and limit == reference:
        notes.append("Limit and reference are equal: all trials are alike, so there is nothing to gain.")
    if limit is None or reference is None or limit == reference:
        return Result(outcomes=seen, notes=notes, limit=limit, reference=reference)
    bests = [best for sweep, of in values.items() for best in _bests(knobs, sweep, of, limit, reference)]
    return Result(outcomes=seen, notes=notes, bests=bests, limit=limit, reference=reference)


def _values(knobs: Knobs, rows: list[Row]) -> list[float | None]:
    """One a trial that is over; None when it has no final value. Cancelled ones say nothing of the search."""
    trials = reading.grouped(rows, lambda row: row.trial)
    left_out = {*OPEN, TrialStatus.CANCELLED}
    return [
        reading.mean(reading.scores(of, knobs.metric)) if of[0].trial_status == TrialStatus.SUCCEEDED else None
        for _, of in sorted(trials.items())
        if of[0].trial_status not in left_out
    ]


def _ends(knobs: Knobs, known: list[float]) -> tuple[float | None, float | None]:
    worst, best = (max, min) if knobs.goal == "minimize" else (min, max)
    limit = knobs.limit if knobs.limit is not None else worst(known, default=None)
    return limit, knobs.reference if knobs.reference is not None else best(known, default=None)


def _bests(knobs: Knobs, sweep: int, values: list[float | None], limit: float, reference: float) -> list[Best]:
    gained = [efficiency(value, limit, reference) for value in values]
    powers = [2**place for place in range(len(gained).bit_length()) if 2**place <= len(gained)]
    ks = sorted({k for k in knobs.ks if 1 <= k <= len(gained)} if knobs.ks else {*powers, len(gained)})
    found = ((k, best_of_k(gained, k)) for k in ks if gained)
    return [Best(sweep=sweep, k=k, efficiency=e, value=limit - e * (limit - reference)) for k, e in found]
