"""Sparsity and accuracy: how far each criterion prunes before quality is lost, with and without retraining.

Every criterion at every sparsity is one sweep over seeds. Quality is held against the dense model that the same run
measured first, seed by seed: q / dense - 1, turned so that more is worse. Per criterion, retrained or not, are told

    limit    the largest sparsity at which this stays within the tolerance, interpolated between measured sparsities
    knee     the point of the curve farthest below its chord

with bootstrap intervals over seeds (see measures/sparsity.py). Nothing is extrapolated: a curve that never leaves the
tolerance is beyond the largest sparsity tried, one that leaves it at once not even at the smallest.

A retrained run tells what it was before, so one sweep shows both; a schedule that prunes while it trains needs another.
Sparsity 0 is the dense model itself, which every run measures; retrained it is run once for all criteria.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field, field_validator, model_validator

from webapp.accounts.errors import Invalid
from webapp.sweeps import planning, pruning
from webapp.sweeps.measures import outcomes, pruned, reading, sparsity
from webapp.sweeps.measures.pruned import Pruned
from webapp.sweeps.measures.reading import Labels, Series
from webapp.sweeps.registry import Knobs as Base
from webapp.sweeps.rows import Row
from webapp.sweeps.states import OPEN, TrialStatus
from webapp.sweeps.statistics import interval

KIND = pruning.KIND
BASE = pruning.EXAMPLE
RETRAIN = pruning.RETRAIN
ONE_SHOT = "one_shot"
HALF = 0.5


class Knobs(Base):
    name: Literal["sparsity_accuracy"]
    metric: str = Field("eval/loss", min_length=1, max_length=200, description="The metric that is judged.")
    goal: Literal["minimize", "maximize"] = "minimize"
    methods: list[planning.MethodName] = Field(
        [], max_length=100, description="Criteria; empty: all that train nothing of their own."
    )
    sparsities: list[float] = Field(
        [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], max_length=50, description="Shares of weights that are removed."
    )
    pattern: Literal["unstructured", "structured"] = Field("unstructured", description="Which weights go together.")
    retrain: Literal["base", "none", "both"] = Field(
        "base", description="base: as the base spec says; none: not at all; both: with and without the base's."
    )
    temperature: str = Field(
        "",
        pattern=r"^([a-z0-9_]+(\.[a-z0-9_]+)*)?$",
        max_length=200,
        description="A path that heats the training, like retrain.steps, retrain.batch_size, retrain.optimizer.lr.",
    )
    temperatures: list[str] = Field([], max_length=20, description="Its values, each as typed in a spec.")
    seeds: int = Field(3, ge=1, le=50, description="Seeds of every point.")
    tolerance: float = Field(0.01, gt=0, lt=10, description="Loss of quality that is allowed, as a share of dense.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Of intervals.", json_schema_extra={"advanced": True})

    @field_validator("sparsities")
    @classmethod
    def _are_shares(cls, sparsities: list[float]) -> list[float]:
        if len(set(sparsities)) < 2 or not all(0 <= share < 1 for share in sparsities):
            raise ValueError(f"sparsities must be two or more different shares in [0, 1): {sparsities}")
        return sorted(set(sparsities))

    @model_validator(mode="after")
    def _temperature_has_values(self) -> Knobs:
        if bool(self.temperature) != bool(self.temperatures):
            raise ValueError("temperature and temperatures go together: name a path and its values, or neither")
        return self

    @property
    def heats_retraining(self) -> bool:
        return self.temperature.startswith(f"{RETRAIN}.")


class Standing(BaseModel):
    method: str
    retrained: bool
    temperature: str
    limit: float | None = Field(description="Sparsity up to which quality stays within the tolerance.")
    low: float | None = Field(description="Of the limit's bootstrap interval over seeds.")
    high: float | None
    reading: str = Field(description="How the limit is to be read.")
    knee: float | None = Field(description="Sparsity farthest below the curve's chord.")
    knee_low: float | None
    knee_high: float | None
    at_half: float | None = Field(description="Quality at a sparsity of 50 %.")
    seeds: int


class Point(BaseModel):
    method: str
    retrained: bool
    temperature: str
    target: float
    sparsity: float = Field(description="As measured on the saved file, the mean over seeds.")
    quality: float
    low: float | None = Field(description="Of Student's interval of the mean.")
    high: float | None
    worse: float | None = Field(description="Than dense, relative to it; the mean over seeds.")
    stored_bytes: int | None
    nonzero: int | None = Field(description="Parameters that are not 0.")
    seeds: int


class Lost(BaseModel):
    method: str
    sparsity: float | None
    status: str
    trials: int


class Result(outcomes.Result):
    standings: list[Standing] = []
    points: list[Point] = []
    lost: list[Lost] = []
    left_out: list[outcomes.LeftOut] = []
    dense: float | None = Field(None, description="Quality of the model before pruning.")
    tolerated: float | None = Field(None, description="Quality at the end of the tolerance.")
    metric: str = ""


def plan(knobs: Knobs, base: Mapping[str, Any]) -> list[planning.Planned]:
    spec = pruning.base_of(base)
    if knobs.retrain == "both" and not spec.get(RETRAIN):
        raise Invalid.field("retrain", "retrain is both, but the base has no retraining: set retrain in the base job.")
    if knobs.retrain == "none":
        spec = _bare(spec)
    if knobs.heats_retraining and not spec.get(RETRAIN):
        raise Invalid.field("temperature", f"Nothing is retrained, so {knobs.temperature} heats nothing.")
    chosen = pruning.criteria(knobs.methods)
    fixed = {pruning.PATTERN: knobs.pattern}
    found = pruning.fitting(spec, chosen, [share for share in knobs.sparsities if share], fixed)
    if not found.methods:
        told = "; ".join(f"{name}: {reason}" for name, reason in found.left_out.items())
        raise Invalid.field("methods", f"None of these criteria can prune this base. {told}")
    return [_planned(knobs, part, found) for part in _parts(knobs, spec)]


def _parts(knobs: Knobs, spec: planning.Json) -> list[planning.Json]:
    """The base, and without retraining too where its runs do not tell that by themselves."""
    is_told = (reading.at(spec, "schedule.name") or ONE_SHOT) == ONE_SHOT
    return [spec] if knobs.retrain != "both" or is_told else [spec, _bare(spec)]


def _bare(spec: planning.Json) -> planning.Json:
    """Without retraining, and so with nothing to prune during."""
    return {**spec, RETRAIN: None, "schedule": {"name": ONE_SHOT}}


def _planned(knobs: Knobs, spec: planning.Json, found: pruning.Fitting) -> planning.Planned:
    is_retrained = bool(spec.get(RETRAIN))
    heats = pruning.heats(knobs.temperature if is_retrained or not knobs.heats_retraining else "", knobs.temperatures)
    fixed = {pruning.PATTERN: knobs.pattern, **pruning.shared(spec, found.methods)}
    points = pruning.points(spec, found.methods, knobs.sparsities, fixed, heats)
    sampler, space = pruning.listed(points)
    seeds = {"tune": knobs.seeds, "confidence": knobs.confidence}
    asked = planning.definition(spec, sampler, space, knobs.metric, knobs.goal, trials=len(points), seeds=seeds)
    notes = [f"{method} is left out: {reason}" for method, reason in found.left_out.items()]
    name = "Pruned and retrained" if is_retrained else "Pruned"
    return planning.Planned(name, asked, {"left_out": found.left_out}, notes)


class _Key(NamedTuple):
    """One curve: `temperature` is "" where none was asked for, or where it heats what did not happen."""

    method: str
    retrained: bool
    temperature: str


def analyse(knobs: Knobs, rows: Sequence[Row], series: Series, labels: Labels) -> Result:
    seen, tuned = outcomes.outcomes(rows), reading.tuning(rows)
    groups = _groups(knobs, tuned)
    models = [one for key in groups for one in groups[key]]
    dense = reading.mean({(one.run, one.dense): one.dense for one in models if one.dense is not None}.values())
    curves = {key: _curve(knobs, models, dense) for key, models in groups.items()}
    standings = [_standing(knobs, key, curves[key], groups[key]) for key in groups]
    sign = _sign(knobs)
    return Result(
        outcomes=seen,
        notes=[*outcomes.told(seen), *_notes(knobs, groups, dense)],
        standings=sorted(standings, key=_order),
        points=[point for key, models in groups.items() for point in _points(knobs, key, models, dense)],
        lost=_lost(tuned),
        left_out=outcomes.left_out(labels),
        dense=dense,
        tolerated=None if dense is None else dense + sign * knobs.tolerance * abs(dense),
        metric=knobs.metric,
    )


def _sign(knobs: Knobs) -> float:
    return 1.0 if knobs.goal == "minimize" else -1.0


def _groups(knobs: Knobs, rows: Iterable[Row]) -> dict[_Key, list[Pruned]]:
    """The models of every curve. What was retrained without being pruned belongs to all of its temperature."""
    groups: dict[_Key, list[Pruned]] = {}
    common: dict[str, list[Pruned]] = {}
    for row in rows:
        for key, one in _told(knobs, row):
            if one.target == 0 and one.sparsity == 0 and key.retrained:
                common.setdefault(key.temperature, []).append(one)
            else:
                groups.setdefault(key, []).append(one)
    for key, models in groups.items():
        models += common.get(key.temperature, []) if key.retrained else []
    return dict(sorted(groups.items()))


def _told(knobs: Knobs, row: Row) -> list[tuple[_Key, Pruned]]:
    """What a run tells: the model that it left, without retraining also the dense one, and before it was retrained."""
    one, before = pruned.final(row, knobs.metric), pruned.before_retraining(row, knobs.metric)
    bare = before if knobs.retrain == "both" and _prunes_at_once(row) else None
    found = [one, bare]
    plain = bare or (one if one is not None and not one.is_retrained else None)
    found.append(pruned.untouched(row, plain) if plain is not None else None)
    return [(_Key(model.method, model.is_retrained, _heat(knobs, row, model)), model) for model in found if model]


def _prunes_at_once(row: Row) -> bool:
    return (reading.at(row.spec, "schedule.name") or ONE_SHOT) == ONE_SHOT


def _heat(knobs: Knobs, row: Row, one: Pruned) -> str:
    if not knobs.temperature or (knobs.heats_retraining and not one.is_retrained):
        return ""
    value = reading.setting(row, knobs.temperature)
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def _by_target(models: Iterable[Pruned]) -> dict[float, dict[int, Pruned]]:
    """{target: {seed: model}}; several of one seed tell the same, so the first is taken."""
    found: dict[float, dict[int, Pruned]] = {}
    for one in sorted(models, key=lambda one: (one.target, one.seed, one.run)):
        found.setdefault(one.target, {}).setdefault(one.seed, one)
    return found


def _curve(knobs: Knobs, models: Sequence[Pruned], dense: float | None) -> sparsity.Curve | None:
    samples = {
        target: {seed: (one.sparsity, worse) for seed, one in of.items()
                 if (worse := one.worse(_sign(knobs), dense)) is not None}
        for target, of in _by_target(models).items()
    }  # fmt: skip
    samples = {target: of for target, of in samples.items() if of}
    return sparsity.curve(samples) if samples else None


def _standing(knobs: Knobs, key: _Key, curve: sparsity.Curve | None, models: Sequence[Pruned]) -> Standing:
    told: dict[str, Any] = dict.fromkeys(("limit", "low", "high", "knee", "knee_low", "knee_high"))
    told["reading"] = "no dense quality to hold it against"
    if curve is not None:
        found, bend = sparsity.limit(curve, knobs.tolerance, knobs.confidence), sparsity.knee(curve, knobs.confidence)
        told = {"limit": found.value, "low": found.low, "high": found.high, "knee": bend.value, "knee_low": bend.low,
                "knee_high": bend.high, "reading": _reading(curve, found)}  # fmt: skip
    values = {name: _finite(value) if name != "reading" else value for name, value in told.items()}
    seeds = len({one.seed for one in models})
    return Standing(**key._asdict(), **values, at_half=_at_half(models), seeds=seeds)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _reading(curve: sparsity.Curve, found: sparsity.Found) -> str:
    first, last = (f"{share:.3g}" for share in (curve.x[0], curve.x[-1]))
    words = {-math.inf: f"not even {first}, the smallest tried", math.inf: f"beyond {last}, the largest tried"}
    word = words.get(found.value, "interpolated")
    is_open = [side for side, bound in (("below", found.low), ("above", found.high)) if bound in words]
    return word + (f"; interval open {' and '.join(is_open)}" if is_open and found.value not in words else "")


def _at_half(models: Sequence[Pruned]) -> float | None:
    samples = {target: {seed: (one.sparsity, one.quality) for seed, one in of.items()}
               for target, of in _by_target(models).items()}  # fmt: skip
    return sparsity.at(sparsity.curve(samples), HALF)


def _points(knobs: Knobs, key: _Key, models: Sequence[Pruned], dense: float | None) -> list[Point]:
    found = []
    for target, of in sorted(_by_target(models).items()):
        bounds = interval([one.quality for one in of.values()], knobs.confidence)
        worse = [value for one in of.values() if (value := one.worse(_sign(knobs), dense)) is not None]
        found.append(Point(
            **key._asdict(), target=target, sparsity=reading.mean(one.sparsity for one in of.values()) or 0.0,
            quality=bounds.mean, low=bounds.low, high=bounds.high, worse=reading.mean(worse),
            stored_bytes=_mean(one.stored_bytes for one in of.values()),
            nonzero=_mean(one.nonzero for one in of.values()), seeds=bounds.n,
        ))  # fmt: skip
    return found


def _mean(values: Iterable[float | None]) -> int | None:
    """Of counts, to the nearest."""
    found = reading.mean(value for value in values if value is not None)
    return None if found is None else round(found)


def _order(one: Standing) -> tuple[bool, float, str, bool, str]:
    """Those that prune farthest first; beyond the largest before all, not even the smallest behind."""
    far = one.limit if one.limit is not None else 2.0 if one.reading.startswith("beyond") else -1.0
    return (False, -far, one.method, not one.retrained, one.temperature)


def _lost(rows: Sequence[Row]) -> list[Lost]:
    """Trials that ended without a value, by criterion, sparsity and what became of them."""
    fates = {(row.sweep, row.trial): (str(reading.setting(row, pruned.METHOD) or ""), pruned.target(row),
                                      row.trial_status) for row in rows}  # fmt: skip
    counts = Counter(fate for fate in fates.values() if fate[2] not in {*OPEN, TrialStatus.SUCCEEDED})
    found = [Lost(method=method, sparsity=share, status=status.replace("_", " "), trials=count)
             for (method, share, status), count in counts.items()]  # fmt: skip
    return sorted(found, key=lambda one: (one.method, one.sparsity or 0.0, one.status))


def _notes(knobs: Knobs, groups: Mapping[_Key, Sequence[Pruned]], dense: float | None) -> list[str]:
    if not groups:
        return []
    seeds = min(len({one.seed for one in models}) for models in groups.values())
    notes = []
    if dense is None:
        notes.append(
            f"No run has told dense/{knobs.metric}, the quality before pruning: there is nothing to hold against."
        )
    if seeds == 1:
        notes.append("With one seed there are no intervals.")
    elif seeds < sparsity.MOST_ENUMERATED:
        notes.append(f"Bootstrap intervals of {seeds} seeds are too narrow: read them as the spread that was seen.")
    return notes
