"""Method comparison: what each fine-tuning method buys, on one base and one data set, under an equal budget.

All methods, each at its own learning rates, are one sweep. Steps, tokens, FLOPs (by the formula of the plan) or seconds
of training (by finished runs of the same method and size) are held equal. A method's rates are `factors` times the one
that it suggests, else the base's, or those that `method_rates` names: all choose among equally many, unless it says
otherwise. With several rates, tuning seeds choose each method's best on the evaluation split, and other seeds report it
on the test split; with one there is nothing to choose, and all seeds report on the evaluation split.

Told are means with Student's interval over the seeds, the difference to the baseline seed by seed, and whether it is
below noise: whether its interval holds 0. The base is what the baseline's runs measured before their first step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field

from gpu_jobs import registry as jobs
from webapp.accounts.errors import Invalid
from webapp.sweeps import comparison as comparing
from webapp.sweeps import equal_budget, planning
from webapp.sweeps.comparison import Line, levels
from webapp.sweeps.comparison.measured import MEASURES
from webapp.sweeps.comparison.results import Amount
from webapp.sweeps.equal_budget import Candidate, Held
from webapp.sweeps.measures import outcomes, reading
from webapp.sweeps.measures.ranking import ranks
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row
from webapp.sweeps.specs import test_metric
from webapp.sweeps.states import OPEN, Role, TrialStatus

METHOD, RATE = "method.name", "optimizer.lr"
KIND = "finetune"
MEASURED = {"steps": "steps", "tokens": "tokens", "flops": "flops", "time": "wall_time_s"}  # as a comparison calls them


class Knobs(Base):
    name: Literal["method_comparison"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    goal: Literal["minimize", "maximize"] = "minimize"
    methods: list[planning.MethodName] = Field(
        [], max_length=200, description="Methods, or whole families (adapters, strategies); empty: all there are."
    )
    baseline: planning.MethodName = Field("full", description="The method against which the others are told.")
    seeds: int = Field(3, ge=1, le=50, description="Seeds that report each method.")
    held: Held = Field("steps", description="What every method gets the same of.")
    amount: float | None = Field(
        None,
        gt=0,
        description="Steps, tokens, FLOPs or seconds of each run. Empty: the baseline's in the base's steps.",
    )
    factors: list[float] = Field(
        [1.0], min_length=1, max_length=20, description="Learning rates, as multiples of each method's own start."
    )
    method_rates: dict[planning.MethodName, list[float]] = Field(
        {}, max_length=200, description='Learning rates of single methods instead, like {"lora": [1e-3, 3e-3]}.'
    )
    tuning_seeds: int = Field(1, ge=1, le=20, description="Seeds that choose among several rates.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Of intervals.", json_schema_extra={"advanced": True})


class Standing(BaseModel):
    rank: int | None
    method: str
    score: float | None = Field(description="Mean over the seeds that report.")
    low: float | None = Field(description="Of Student's interval of the mean.")
    high: float | None
    seeds: int
    difference: float | None = Field(description="To the baseline.")
    difference_low: float | None
    difference_high: float | None
    verdict: str = Field(description="Below noise: the interval of the difference holds 0.")
    to_base: float | None = Field(description="Difference to the base before training.")
    base_verdict: str = Field(description="Below noise: the interval of the mean holds the base's value.")
    lr: float | None = Field(description="The learning rate that was chosen.")
    rates: int = Field(description="Learning rates that it was chosen from.")
    tuned: float | None = Field(description="Mean on the evaluation split, by which it was chosen.")


class Cost(BaseModel):
    method: str
    trainable: int | None = Field(description="Parameters.")
    share: float | None = Field(description="Trainable over all parameters.")
    stored_bytes: int | None
    peak_memory_bytes: int | None
    tokens_per_second: float | None
    wall_time_s: float | None
    energy_kwh: float | None
    flops: float | None
    steps: int | None
    budget: float | None = Field(description="What is held equal, as measured, over the baseline's.")
    front: str = Field(description="The costs against which no other method is better in both.")


class Lost(BaseModel):
    method: str
    lr: float | None
    status: str
    trials: int


class Result(outcomes.Result):
    ranking: list[Standing] = []
    costs: list[Cost] = []
    comparison: comparing.Comparison = Field(
        comparing.compared([], comparing.Question(metric="eval/loss")), description="All of it: the charts draw this."
    )
    lost: list[Lost] = []
    left_out: list[outcomes.LeftOut] = []
    metric: str = ""
    baseline: str = ""
    baseline_score: float | None = Field(None, description="Of the baseline, the mean over its seeds.")
    base_score: float | None = Field(None, description="Of the base, before training.")


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    spec = {**base, "kind": KIND, **_judged_before()}
    chosen = equal_budget.methods(knobs.methods)
    found = equal_budget.candidates(spec, chosen)
    if not found.fit:
        told = "; ".join(f"{name}: {reason}" for name, reason in found.left_out.items())
        raise Invalid.field("methods", f"None of these methods can train this base. {told}")
    steps, amount = equal_budget.steps(found.fit, knobs.held, knobs.amount, knobs.baseline)
    rates = _rates(knobs, found.fit)
    labels = {"held": knobs.held, "amount": amount, "steps": steps, "left_out": found.left_out}
    asked = _sweep(knobs, spec, rates, steps)
    return [planning.Planned("All methods", asked, labels, _notes(knobs, steps, amount, found.left_out))]


def _judged_before() -> planning.Json:
    """The base's own quality is measured where this installation's jobs can do so."""
    return {"eval_before": True} if "eval_before" in jobs.kinds()[KIND].spec.model_fields else {}


def _rates(knobs: Knobs, found: Sequence[Candidate]) -> dict[str, list[float]]:
    names = [one.method.name for one in found]
    if unknown := sorted(knobs.method_rates.keys() - set(names)):
        raise Invalid.field(
            "method_rates", f"There are no runs by {', '.join(unknown)}: choose among {', '.join(names)}."
        )
    if empty := [name for name, rates in knobs.method_rates.items() if not rates]:
        raise Invalid.field("method_rates", f"Name at least one learning rate of {', '.join(empty)}.")
    return {
        one.method.name: sorted(set(knobs.method_rates.get(one.method.name) or _around(knobs, one))) for one in found
    }


def _around(knobs: Knobs, one: Candidate) -> list[float]:
    """The method's own suggestion, else the base's learning rate, times each factor, to four digits."""
    start = one.method.lr or getattr(one.spec.optimizer, "lr", None)
    if start is None:
        raise Invalid.field("factors", f"Optimizer {one.spec.optimizer.name!r} has no learning rate to compare at.")
    return [float(f"{start * factor:.4g}") for factor in knobs.factors]


def _sweep(
    knobs: Knobs, spec: planning.Json, rates: Mapping[str, list[float]], steps: Mapping[str, int]
) -> planning.Json:
    """One point a method and rate. With steps of its own where they differ."""
    is_same = len(set(steps.values())) == 1
    length = {name: {} if is_same else {"steps": steps[name]} for name in rates}
    points = [{METHOD: name, RATE: rate, **length[name]} for name, some in rates.items() for rate in some]
    space = {path: {"choices": list(dict.fromkeys(point[path] for point in points))} for path in points[0]}
    is_tuned = any(len(some) > 1 for some in rates.values())
    own = {"tune": knobs.tuning_seeds, "test": knobs.seeds, "test_each": METHOD} if is_tuned else {"tune": knobs.seeds}
    seeds = {**own, "confidence": knobs.confidence}
    spec = {**spec, "steps": next(iter(steps.values()))} if is_same else spec
    sampler = {"name": "listed", "points": points}
    return planning.definition(spec, sampler, space, knobs.metric, knobs.goal, trials=len(points), seeds=seeds)


def _notes(knobs: Knobs, steps: Mapping[str, int], amount: float, left_out: Mapping[str, str]) -> list[str]:
    few, many = (pick(steps, key=lambda name: steps[name]) for pick in (min, max))
    told = f"{amount:,g} {equal_budget.UNITS[knobs.held]} each"
    if steps[few] != steps[many]:
        told += f": {steps[few]:,} steps of {few} to {steps[many]:,} of {many}"
    without = [] if knobs.baseline in steps else [f"The baseline {knobs.baseline!r} is not among the methods."]
    return [f"{told}.", *without, *(f"{name} is left out: {reason}" for name, reason in left_out.items())]


class _Chosen(NamedTuple):
    """A method's best trial: the runs that report it, none while these are to come, and what it was chosen by."""

    method: str
    rows: list[Row]
    lr: float | None
    rates: int
    tuned: float | None


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen, found = outcomes.outcomes(rows), reading.ordered(rows)
    is_tested = any(row.role == Role.TEST for row in found)
    sign = 1.0 if knobs.goal == "minimize" else -1.0
    by_method = reading.grouped(found, _method)
    chosen = {name: one for name, of in sorted(by_method.items()) if (one := _chosen(knobs, name, of, sign, is_tested))}
    metric = test_metric(knobs.metric) if is_tested else knobs.metric
    told = _compared(knobs, metric, chosen)
    lines = {line.method: line for line in told.lines}
    own = lines.get(knobs.baseline)
    base = told.levels[-1].value
    standings = [_standing(one, lines.get(name), base, sign) for name, one in chosen.items()]
    return Result(
        outcomes=seen,
        notes=[*outcomes.told(seen), *_told(knobs, told, chosen, is_tested)],
        ranking=_ranked(standings, sign),
        costs=[_cost(line, chosen[name].rows) for name, line in sorted(lines.items())],
        comparison=told,
        lost=_lost(found),
        left_out=outcomes.left_out(labels),
        metric=metric,
        baseline=knobs.baseline,
        baseline_score=own.quality.mean if own and own.quality else None,
        base_score=base,
    )


def _method(row: Row) -> str:
    return str(reading.setting(row, METHOD) or row.spec.get("kind", ""))


def _chosen(knobs: Knobs, name: str, rows: list[Row], sign: float, is_tested: bool) -> _Chosen | None:
    """By the mean over tuning seeds; of equals the first. None where no trial has gone well."""
    tuning = [row for row in rows if row.role == Role.TUNE and row.trial_status == TrialStatus.SUCCEEDED]
    trials = reading.grouped(tuning, lambda row: (row.sweep, row.trial))
    means = {
        key: mean for key, of in trials.items() if (mean := reading.mean(reading.scores(of, knobs.metric))) is not None
    }
    if not means:
        return None
    best = min(means, key=lambda key: (sign * means[key], key))
    role = Role.TEST if is_tested else Role.TUNE
    report = [row for row in rows if (row.sweep, row.trial) == best and row.role == role]
    rates = {reading.setting(row, RATE) for row in rows if row.role == Role.TUNE}
    return _Chosen(name, report, reading.setting(trials[best][0], RATE), len(rates), means[best])


def _compared(knobs: Knobs, metric: str, chosen: Mapping[str, _Chosen]) -> comparing.Comparison:
    """With the base as the baseline's runs saw it: some methods add what changes it before the first step."""
    own = chosen.get(knobs.baseline)
    question = comparing.Question(
        metric=metric, goal=knobs.goal, baseline=own.rows[0].run if own and own.rows else None,
        budget=MEASURED[knobs.held], confidence=knobs.confidence,
    )  # fmt: skip
    told = comparing.compared([row for one in chosen.values() for row in one.rows], question)
    base = levels.base(comparing.groups_of(own.rows if own else []), {}, metric)
    return told.model_copy(update={"levels": [told.levels[0], base]})


def _standing(one: _Chosen, line: Line | None, base: float | None, sign: float) -> Standing:
    quality, against = (line.quality, line.against) if line else (None, None)
    return Standing(
        rank=None, method=one.method, score=quality.mean if quality else None, low=quality.low if quality else None,
        high=quality.high if quality else None, seeds=quality.n if quality else 0,
        difference=against.difference if against else None, difference_low=against.low if against else None,
        difference_high=against.high if against else None, verdict=line.verdict if line else "no value",
        to_base=quality.mean - base if quality and base is not None else None,
        base_verdict=_against_base(quality, base, sign), lr=one.lr, rates=one.rates, tuned=one.tuned,
    )  # fmt: skip


def _against_base(quality: Amount | None, base: float | None, sign: float) -> str:
    """The base is measured without chance: one model on the same samples for every seed."""
    if quality is None or base is None:
        return ""
    if quality.low is None or quality.high is None:
        return "no interval"
    if quality.low <= base <= quality.high:
        return "below noise"
    return "better" if sign * quality.mean < sign * base else "worse"


def _ranked(standings: Sequence[Standing], sign: float) -> list[Standing]:
    places = ranks([None if one.score is None else sign * one.score for one in standings])
    placed = [one.model_copy(update={"rank": place}) for one, place in zip(standings, places, strict=True)]
    return sorted(placed, key=lambda one: (one.rank is None, one.rank or 0, one.method))


def _cost(line: Line, rows: Sequence[Row]) -> Cost:
    means = {name: amount.mean if amount else None for name, amount in line.measures.items()}
    return Cost(
        method=line.method, trainable=_whole(means["trainable"]), share=means["trainable_share"],
        stored_bytes=_whole(means["stored_bytes"]), peak_memory_bytes=_whole(means["memory_bytes"]),
        tokens_per_second=means["tokens_per_second"], wall_time_s=means["wall_time_s"], energy_kwh=means["energy_kwh"],
        flops=means["flops"], steps=reading.setting(rows[0], "steps"), budget=line.budget,
        front=", ".join(MEASURES[name].label for name in line.front),
    )  # fmt: skip


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _lost(rows: Sequence[Row]) -> list[Lost]:
    """Trials that ended without a value, by method, rate and what became of them."""
    fates = {(row.sweep, row.trial): (_method(row), reading.setting(row, RATE), row.trial_status) for row in rows}
    counts = Counter(fate for fate in fates.values() if fate[2] not in {*OPEN, TrialStatus.SUCCEEDED})
    found = [Lost(method=method, lr=lr, status=status.replace("_", " "), trials=count)
             for (method, lr, status), count in counts.items()]  # fmt: skip
    return sorted(found, key=lambda one: (one.method, one.lr or 0.0, one.status))


def _told(knobs: Knobs, told: comparing.Comparison, chosen: Mapping[str, _Chosen], is_tested: bool) -> list[str]:
    if not chosen:
        return []
    notes = [told.budget.sentence, *told.cautions, *told.notes]
    if knobs.baseline not in {line.method for line in told.lines}:
        notes.insert(0, f"The baseline {knobs.baseline!r} has no value: differences are to {told.why_baseline}.")
    if not is_tested and any(one.rates > 1 for one in chosen.values()):
        notes.append(
            "Rates were chosen on these very seeds and split: the test seeds, which tell it fairly, have not run."
        )
    return notes
