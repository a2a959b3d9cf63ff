"""What a reader asks of a fit: the target at a point, and the best use of a budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from webapp.pages.runs.facts import NOTHING, Fact
from webapp.pages.scaling.cells import amount, is_number, power, span
from webapp.pages.templatetags import hone as text
from webapp.scaling.reading import Reading

FACTORS = {"k": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}
BUDGET = "budget"


class Field(NamedTuple):
    name: str
    title: str
    value: str
    error: str = ""


class Asked(NamedTuple):
    """The fields as typed, and what the fit says to them."""

    fields: list[Field]
    facts: list[Fact]


def number_of(typed: str) -> float:
    """ "70B", "1.4e12", "7,000". Raises ValueError with a sentence."""
    plain = typed.replace(",", "").replace("_", "").replace(" ", "")
    factor = FACTORS.get(plain[-1:], 1.0)
    try:
        value = float(plain[:-1] if factor != 1.0 else plain) * factor
    except ValueError:
        raise ValueError(f"{typed!r} is no number.") from None
    if not math.isfinite(value) or value <= 0:
        raise ValueError("It must be a positive number.")
    return value


def asked_of(reading: Reading, data: Mapping[str, str]) -> Asked:
    """Fields that nobody filled in hold what is likely asked."""
    likely = _likely(reading)
    typed = {name: str(data.get(name, "") or value)[:40] for name, value in likely.items()}
    known: dict[str, float] = {}
    errors: dict[str, str] = {}
    for name, given in typed.items():
        try:
            known[name] = number_of(given)
        except ValueError as error:
            errors[name] = str(error)
    titles = {**reading.law.variables, BUDGET: "FLOPs"}
    fields = [Field(name, titles[name], typed[name], errors.get(name, "")) for name in likely]
    return Asked(fields, [*_at(reading, known), *_budget(reading, known)])


def _likely(reading: Reading) -> dict[str, str]:
    """The point that the fit was asked for, else its largest one; the budget likewise."""
    told = (reading.result.get("predictions") or [{"at": {}}])[0]["at"]
    found = {name: short(told.get(name, _largest(reading, name))) for name in reading.law.variables}
    if reading.has_optimum:
        budgets = reading.spec.frontier
        found[BUDGET] = short(budgets[0] if budgets else 10 * _largest(reading, "C", 1e18))
    return found


def _largest(reading: Reading, name: str, otherwise: float = 1.0) -> float:
    values = [value for value in reading.points.get(name, ()) if math.isfinite(value)]
    return float(max(values, default=otherwise))


def short(value: float) -> str:
    """As one would type it: 7e10."""
    return text.metric(float(f"{value:.3g}"))


def _at(reading: Reading, known: Mapping[str, float]) -> list[Fact]:
    from gpu_jobs.engine.laws.doubts import extrapolation

    at = {name: known[name] for name in reading.law.variables if name in known}
    if len(at) < len(reading.law.variables):
        return []
    told = reading.foreseen({name: [value] for name, value in at.items()})
    far = extrapolation(at, reading.through)
    band, interval = (span([float(low[0]), float(high[0])]) for low, high in (told[1:3], told[3:5]))
    outside = "inside the points" if far <= 1 else f"{far:.3g} times outside the points"
    value = float(told.value[0])
    return [
        Fact(f"Predicted {reading.law.target}", text.metric(value) if is_number(value) else NOTHING, outside),
        Fact("Band of the curve", band, f"{text.percent(reading.level)} of the resamples"),
        Fact("A new measurement", interval, "with the noise of the points"),
        *_behind(reading, {**known, reading.law.target: value}),
    ]


def _behind(reading: Reading, known: Mapping[str, float]) -> list[Fact]:
    """What the law behind this one makes of its prediction."""
    then = reading.then
    if then is None or not set(then.law.variables) <= known.keys():
        return []
    value = float(then.predict({name: [known[name]] for name in then.law.variables})[0])
    said = text.metric(value) if is_number(value) else NOTHING
    return [Fact(f"{then.law.target}, through {reading.law.target}", said, "Predictions have its interval")]


def _budget(reading: Reading, known: Mapping[str, float]) -> list[Fact]:
    best = reading.optimum([known[BUDGET]]) if BUDGET in known else None
    if best is None:
        return []
    size, tokens = (float(side[0]) for side in (best.N, best.D))
    found = [
        Fact(f"N* at {power(known[BUDGET])}", amount(size), span([float(best.N_low[0]), float(best.N_high[0])])),
        Fact("D*", amount(tokens), span([float(best.D_low[0]), float(best.D_high[0])])),
    ]
    loss = float(best.loss[0])
    if is_number(loss):
        found.append(Fact("Loss there", text.metric(loss), span([float(best.loss_low[0]), float(best.loss_high[0])])))
    return found
