"""Tuning and test seeds: does a tuned configuration hold up on seeds that it was not tuned on.

Each sampler spends the same budget on the tuning seeds; its winner is then run on test seeds, which never meet them.
Both means, their gap and both rankings of the samplers are told (Eimer, Lindauer and Raileanu 2023; the code tunes on 3
or 5 seeds and compares random search, DEHB, PBT, PB2 and BGT). Claim: better than grids under 10 % of their budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from webapp.accounts.errors import Invalid
from webapp.sweeps import planning, registry
from webapp.sweeps.measures import outcomes, reading
from webapp.sweeps.measures.ranking import ranks
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row
from webapp.sweeps.states import Role
from webapp.sweeps.statistics import interval

PAPER = "https://arxiv.org/abs/2306.01324"


class Knobs(Base):
    name: Literal["tune_test_seeds"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    goal: Literal["minimize", "maximize"] = "minimize"
    samplers: list[planning.MethodName] = Field(
        ["random", "tpe"],
        min_length=1,
        max_length=10,
        description="What chooses the points; each gets the same budget.",
    )
    trials: int = Field(10, ge=1, le=10_000, description="Points of each sampler.")
    tune: int = Field(3, ge=1, le=100, description="Tuning seeds.")
    test: int = Field(5, ge=1, le=100, description="Test seeds.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Of the interval of the tested mean.")
    lr_low: float = Field(1e-4, gt=0, json_schema_extra={"log": True}, description="Lowest learning rate.")
    lr_high: float = Field(1e-2, gt=0, json_schema_extra={"log": True}, description="Highest learning rate.")


class Standing(BaseModel):
    sampler: str
    sweep: int
    trial: int = Field(description="The winner on the tuning seeds.")
    params: dict[str, Any]
    tuned: float
    tuned_seeds: int
    tested: float | None
    low: float | None = Field(description="Of Student's interval of the tested mean.")
    high: float | None
    tested_seeds: int
    gap: float | None = Field(description="Tested less tuned, as measured.")
    tuned_rank: int
    tested_rank: int | None
    budget: int = Field(description="Runs that it took to tune.")


class Result(outcomes.Result):
    standings: list[Standing] = []


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    _check_samplers(knobs.samplers)
    space = {"optimizer.lr": {"low": knobs.lr_low, "high": knobs.lr_high, "log": True}}
    seeds = {"tune": knobs.tune, "test": knobs.test}
    return [
        planning.Planned(
            f"Tuned by {sampler}",
            planning.definition(
                base, {"name": sampler}, space, knobs.metric, knobs.goal, trials=knobs.trials, seeds=seeds
            ),
            {"sampler": sampler},
        )
        for sampler in knobs.samplers
    ]


def _check_samplers(names: Sequence[str]) -> None:
    known = registry.entries("search.samplers")
    for name in names:
        if name not in known:
            raise Invalid.field("samplers", f"There is no sampler {name!r}: there are {', '.join(known)}.")


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    """Raises Invalid when a seed both tuned and tested."""
    seen = outcomes.outcomes(rows)
    refuse_leak(rows)
    sign = 1.0 if knobs.goal == "minimize" else -1.0
    found = []
    for sweep, of in reading.grouped(reading.ordered(rows), lambda row: row.sweep).items():
        won = _winner(of, knobs.metric, sign)
        if won is not None:
            found.append(_standing(knobs, sweep, won, of, labels))
    return Result(outcomes=seen, notes=outcomes.told(seen), standings=_ranked(found, sign))


def refuse_leak(rows: Sequence[Row]) -> None:
    """Raises Invalid that names the seeds which both tuned and tested."""
    seeds: dict[str, set[int]] = {Role.TUNE: set(), Role.TEST: set()}
    for row in rows:
        seeds[row.role].add(row.seed)
    shared = sorted(seeds[Role.TUNE] & seeds[Role.TEST])
    if shared:
        told = ", ".join(map(str, shared))
        raise Invalid.field("seeds", f"Tuning and test seeds must not meet: {told} did both, so the test says nothing.")


def _winner(rows: list[Row], metric: str, sign: float) -> int | None:
    """The trial with the best mean over its tuning seeds; of equals the first. It must have all the seeds it ran."""
    tuned = [row for row in rows if row.role == Role.TUNE and row.trial_status == "succeeded"]
    means = {t: reading.mean(reading.scores(of, metric)) for t, of in reading.grouped(tuned, lambda r: r.trial).items()}
    known = {trial: value for trial, value in means.items() if value is not None}
    return min(known, key=lambda trial: (sign * known[trial], trial), default=None)


def _standing(knobs: Knobs, sweep: int, trial: int, rows: list[Row], labels: Labels) -> Standing:
    mine = [row for row in rows if row.trial == trial]
    tuned = reading.scores([row for row in mine if row.role == Role.TUNE], knobs.metric)
    tested = reading.scores([row for row in mine if row.role == Role.TEST], knobs.metric)
    before, after = reading.mean(tuned), reading.mean(tested)
    assert before is not None  # it has won by it
    bounds = interval(tested, knobs.confidence) if tested else None
    return Standing(
        sampler=reading.label(labels, mine[0], "sampler", f"sweep {sweep}"), sweep=sweep, trial=trial,
        params=mine[0].params, tuned=before, tuned_seeds=len(tuned), tested=after, low=bounds.low if bounds else None,
        high=bounds.high if bounds else None, tested_seeds=len(tested), gap=None if after is None else after - before,
        tuned_rank=0, tested_rank=None, budget=sum(row.role == Role.TUNE for row in rows),
    )  # fmt: skip


def _ranked(found: list[Standing], sign: float) -> list[Standing]:
    """With both ranks, in the order of the tuned one."""
    tuned = ranks([sign * one.tuned for one in found])
    tested = ranks([None if one.tested is None else sign * one.tested for one in found])
    placed = zip(found, tuned, tested, strict=True)
    ranked = [one.model_copy(update={"tuned_rank": first, "tested_rank": then}) for one, first, then in placed]
    return sorted(ranked, key=lambda one: (one.tuned_rank, one.sampler, one.sweep))
