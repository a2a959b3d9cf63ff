"""AlgoPerf: which training algorithm reaches the target first, over several workloads.

    r(s, w) = t(s, w) / min_s t(s, w)        rho_s(tau) = share of workloads with r <= tau
    B(s) = 1 / (rmax - 1) integral from 1 to rmax of rho_s

t is the time at which the validation target is first met, infinite when it is missed (Dahl et al. 2023). Each algorithm
is tuned anew in every study: the fastest trial of a study counts, and the median over studies is its time. Rules have
changed: first release 5 studies x 5 trials, self-tuning 5 runs at 3 x the budget; June 2025 5 x 5 and 1.5 x; August
2025 3 x 5, self-tuning 3 runs at 1.5 x. `calibrated` asks for one configuration for all workloads: in each study the
point with the best score over all of them stands for the algorithm. The competition sets a target as the median of 20
reruns of the best of 200 trials; without targets the first algorithm's own results set them here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from webapp.accounts.errors import Invalid
from webapp.sweeps import planning
from webapp.sweeps.measures import outcomes, profiles, reading
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row

PAPER = "https://arxiv.org/abs/2306.07179"
TAUS = 61


class Knobs(Base):
    name: Literal["algoperf"]
    algorithms: list[planning.MethodName] = Field(["adamw"], min_length=1, max_length=20, description="Optimizers.")
    workloads: list[str] = Field(
        ["language-reference", "stdlib-source"],
        min_length=1,
        max_length=20,
        description="Data sets: a built-in one by name, upload:3 for an upload.",
    )
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    goal: Literal["minimize", "maximize"] = "minimize"
    targets: list[float] = Field([], description="One a workload. Empty: what the first algorithm reached.")
    tuning: Literal["external", "self"] = Field("external", description="self: no search, a longer budget.")
    studies: int = Field(3, ge=1, le=20, description="Times that everything is repeated, tuned anew.")
    trials: int = Field(5, ge=1, le=200, description="Points that each study may try; self-tuning has one.")
    self_budget: float = Field(1.5, ge=1, le=10, description="Steps of a self-tuning run, times the base run's.")
    calibrated: bool = Field(False, description="One configuration for all workloads.")
    lr_low: float = Field(1e-4, gt=0, json_schema_extra={"log": True}, description="Lowest learning rate.")
    lr_high: float = Field(1e-2, gt=0, json_schema_extra={"log": True}, description="Highest learning rate.")
    max_ratio: float = Field(4.0, gt=1, le=100, description="Slower than so many times the best counts as missed.")
    clock: Literal["seconds", "steps"] = "seconds"

    @field_validator("targets")
    @classmethod
    def _one_each(cls, targets: list[float], info: Any) -> list[float]:
        workloads = info.data.get("workloads", [])
        if targets and len(targets) != len(workloads):
            raise ValueError(f"targets must be one a workload: {len(targets)} for {len(workloads)} workloads")
        return targets


class Time(BaseModel):
    algorithm: str
    workload: str
    time: float | None = Field(description="Median over studies of the fastest trial; none: the target was missed.")
    ratio: float | None = Field(description="To the fastest algorithm.")
    hits: int = Field(description="Studies that met the target.")
    studies: int


class Score(BaseModel):
    algorithm: str
    score: float = Field(description="B, from 0 to 1.")
    profile: list[float] = Field(description="rho at each of the result's taus.")


class Target(BaseModel):
    workload: str
    target: float
    origin: Literal["given", "reference"]


class Result(outcomes.Result):
    scores: list[Score] = []
    times: list[Time] = []
    targets: list[Target] = []
    taus: list[float] = []


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    """A sweep for each study of each algorithm on each workload; a study draws the same points on every workload."""
    planning.need_methods("algorithms", knobs.algorithms, "optimizers")
    return [
        _study(knobs, base, *where) for where in product(knobs.algorithms, knobs.workloads, range(1, knobs.studies + 1))
    ]


def _study(knobs: Knobs, base: Mapping[str, Any], algorithm: str, workload: str, study: int) -> planning.Planned:
    spec = planning.changed(base, {"optimizer.name": algorithm, "data": _data(workload)})
    labels = {"algorithm": algorithm, "workload": workload, "study": study}
    name = f"{algorithm} on {workload}, study {study}"
    if knobs.tuning == "self":
        spec["steps"] = math.ceil(spec.get("steps", 1000) * knobs.self_budget)
        asked = planning.definition(
            spec, {"name": "random"}, {}, knobs.metric, knobs.goal, trials=1, seeds={"tune": 1, "first": study}
        )
        return planning.Planned(name, asked, labels)
    space = {"optimizer.lr": {"low": knobs.lr_low, "high": knobs.lr_high, "log": True}}
    seeds = {"tune": 1, "first": study}
    asked = planning.definition(
        spec, {"name": "random"}, space, knobs.metric, knobs.goal, trials=knobs.trials, seed=study, seeds=seeds
    )
    return planning.Planned(name, asked, labels)


def _data(workload: str) -> planning.Json:
    kind, colon, number = workload.partition(":")
    if not colon:
        return {"source": "builtin", "name": workload}
    if kind != "upload" or not number.isdecimal():
        raise Invalid.field("workloads", f"A workload is a built-in data set or upload:<number>, not {workload!r}.")
    return {"source": "upload", "upload": int(number)}


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen, tuned = outcomes.outcomes(rows), reading.tuning(rows)
    targets = {target.workload: target for target in _targets(knobs, tuned, labels)}
    reached = _reached(knobs, tuned, series, labels, {name: target.target for name, target in targets.items()})
    if knobs.calibrated:
        reached = _one_configuration(reached, knobs)
    studies = {key: [min(points.values()) for points in of.values()] for key, of in reached.items()}
    times: dict[str, dict[str, float]] = {}
    for (algorithm, workload), found in sorted(studies.items()):
        times.setdefault(algorithm, {})[workload] = profiles.median(found)
    ratios = profiles.ratios(times)
    taus = [1 + (knobs.max_ratio - 1) * place / (TAUS - 1) for place in range(TAUS)]
    scores = [
        Score(
            algorithm=algorithm,
            score=profiles.benchmark_score(list(of.values()), knobs.max_ratio),
            profile=profiles.profile(list(of.values()), taus),
        )
        for algorithm, of in ratios.items()
    ]
    return Result(
        outcomes=seen,
        notes=[*outcomes.told(seen), *_incomplete(knobs, studies)],
        scores=sorted(scores, key=lambda one: (-one.score, one.algorithm)),
        times=[_time(where, times, ratios, found) for where, found in sorted(studies.items())],
        targets=list(targets.values()),
        taus=taus if scores else [],
    )


Reached = dict[tuple[str, str], dict[int, dict[str, float]]]  # [algorithm, workload][study][point] -> time


def _reached(knobs: Knobs, rows: list[Row], series: Series, labels: Labels, targets: dict[str, float]) -> Reached:
    """The time to target of every point; of several seeds their median."""
    sign = 1.0 if knobs.goal == "minimize" else -1.0
    times: dict[tuple[str, str, int, str], list[float]] = {}
    for row in rows:
        algorithm, workload = _part(row, labels)
        if workload not in targets:
            continue
        started = row.started_at.timestamp() if row.started_at else None
        time = profiles.time_to(series(row.run, knobs.metric), targets[workload], sign, knobs.clock, started)
        study = int(labels.get(row.sweep, {}).get("study", row.sweep))
        point = repr(sorted(row.params.items()))
        times.setdefault((algorithm, workload, study, point), []).append(time)
    reached: Reached = {}
    for (algorithm, workload, study, point), found in times.items():
        reached.setdefault((algorithm, workload), {}).setdefault(study, {})[point] = profiles.median(found)
    return reached


def _part(row: Row, labels: Labels) -> tuple[str, str]:
    algorithm = reading.label(labels, row, "algorithm", str(reading.at(row.spec, "optimizer.name")))
    return algorithm, reading.label(labels, row, "workload", str(reading.at(row.spec, "data.name")))


def _targets(knobs: Knobs, rows: list[Row], labels: Labels) -> list[Target]:
    if knobs.targets:
        pairs = zip(knobs.workloads, knobs.targets, strict=True)
        return [Target(workload=name, target=target, origin="given") for name, target in pairs]
    best = min if knobs.goal == "minimize" else max
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        algorithm, workload = _part(row, labels)
        value = reading.score(row, knobs.metric)
        if algorithm == knobs.algorithms[0] and value is not None:
            of = found.setdefault(workload, {})
            of[row.sweep] = best(of.get(row.sweep, value), value)
    return [
        Target(workload=name, target=profiles.median(list(of.values())), origin="reference")
        for name, of in sorted(found.items())
    ]


def _one_configuration(reached: Reached, knobs: Knobs) -> Reached:
    """Each study of an algorithm keeps the one point whose score over all workloads is best, then whose times are."""
    fastest: dict[str, float] = {}
    for (_, workload), studies in reached.items():
        fastest[workload] = min([fastest.get(workload, math.inf), *(min(of.values()) for of in studies.values())])
    kept: Reached = {key: {} for key in reached}
    for algorithm in {key[0] for key in reached}:
        mine = {workload: studies for (name, workload), studies in reached.items() if name == algorithm}
        for study in sorted({study for studies in mine.values() for study in studies}):
            points = sorted({point for studies in mine.values() for point in studies.get(study, {})})
            times = {p: {w: s.get(study, {}).get(p, math.inf) for w, s in mine.items()} for p in points}
            chosen = max(points, key=lambda point: _standing(times[point], fastest, knobs.max_ratio))
            for workload in mine:
                kept[algorithm, workload][study] = {chosen: times[chosen][workload]}
    return kept


def _standing(times: Mapping[str, float], fastest: Mapping[str, float], max_ratio: float) -> tuple[float, float]:
    ratios = profiles.ratios({"": times, "best": fastest})[""]
    return profiles.benchmark_score(list(ratios.values()), max_ratio), -math.fsum(sorted(times.values()))


def _time(
    where: tuple[str, str], times: Mapping[str, Mapping[str, float]], ratios: profiles.Times, found: list[float]
) -> Time:
    algorithm, workload = where
    return Time(
        algorithm=algorithm,
        workload=workload,
        time=_finite(times[algorithm][workload]),
        ratio=_finite(ratios[algorithm][workload]),
        hits=sum(math.isfinite(time) for time in found),
        studies=len(found),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _incomplete(knobs: Knobs, studies: Mapping[tuple[str, str], list[float]]) -> list[str]:
    short = [f"{a} on {w}" for (a, w), found in sorted(studies.items()) if len(found) < knobs.studies]
    return [f"Fewer than {knobs.studies} studies have begun: {', '.join(short)}."] if short else []
