"""Which methods can train a base, and how many steps each may take so that all spend the same.

A method whose backward is cheaper gets more steps of an equal number of FLOPs, and more of an equal time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from gpu_jobs import cost
from gpu_jobs import registry as jobs
from gpu_jobs.errors import JobError
from gpu_jobs.registry import Method
from gpu_jobs.spec import Training
from webapp.accounts.errors import Invalid
from webapp.runs import plain, specs
from webapp.runs.forecast import seconds_per_step
from webapp.sweeps import pace, planning

FAMILIES = ("adapters", "strategies")
Held = Literal["steps", "tokens", "flops", "time"]
UNITS = {"steps": "steps", "tokens": "tokens", "flops": "FLOPs", "time": "seconds"}
SLACK = 1e-9  # of a step: a budget of exactly n steps takes n


class Candidate(NamedTuple):
    """A method that can train the base, as it would be asked to."""

    method: Method
    spec: Training
    plan: cost.Plan


class Candidates(NamedTuple):
    """`left_out`: why the others can't, by name."""

    fit: list[Candidate]
    left_out: dict[str, str]


def methods(names: Sequence[str]) -> list[Method]:
    """Those named, by themselves or by their family; all when none is. Raises Invalid for a name that there isn't."""
    known = {name: one for family in FAMILIES for name, one in jobs.methods(family).items()}
    planning.need_methods("methods", [name for name in names if name not in FAMILIES], *FAMILIES)
    return [one for one in known.values() if not names or one.name in names or one.family in names]


def candidates(base: Mapping[str, Any], chosen: Iterable[Method]) -> Candidates:
    """Each by its own knobs' defaults; the base's method keeps the knobs that it has there."""
    fit, left_out = [], {}
    for method in chosen:
        try:
            fit.append(_candidate(base, method))
        except (Invalid, JobError) as error:
            left_out[method.name] = str(error)
    return Candidates(fit, left_out)


def _candidate(base: Mapping[str, Any], method: Method) -> Candidate:
    """Raises Invalid or JobError with the reason why this method can't train the base."""
    spec = specs.checked(plain.json(planning.changed(base, {"method.name": method.name})))
    assert isinstance(spec, Training)
    plan = cost.plan(spec, pace.facts_of(spec))
    if plan.parameters["trainable"] == 0:
        raise Invalid.field("method", "It trains nothing of this model.")
    return Candidate(method, spec, plan)


def steps(found: Sequence[Candidate], held: Held, amount: float | None, baseline: str) -> tuple[dict[str, int], float]:
    """How many each may take, by name, and what each of them spends at most; by default what the baseline spends in the
    base's steps. Raises Invalid where what is held equal is not known of a method, or is less than a single step."""
    each = {one.method.name: _per_step(one, held) for one in found}
    _refuse_unknown(each, held)
    if amount is None:
        amount = _usual(found, each, held, baseline)
    allowed = {name: int(amount / spent + SLACK) for name, spent in each.items()}
    short = [name for name, count in allowed.items() if count < 1]
    if short:
        raise Invalid.field("amount", f"{amount:g} {UNITS[held]} are less than one step of {', '.join(short)}.")
    return allowed, amount


def _per_step(one: Candidate, held: Held) -> float:
    """0 where it is not known."""
    flops = one.plan.flops["per_step"]
    match held:
        case "steps":
            return 1.0
        case "tokens":
            return one.plan.tokens / one.spec.steps
        case "flops":
            return float(flops or 0)
        case "time":
            return seconds_per_step(one.method.name, flops) or 0.0


def _refuse_unknown(each: Mapping[str, float], held: Held) -> None:
    unknown = [name for name, spent in each.items() if not spent]
    if not unknown:
        return
    if held == "time":
        why = "no finished run has measured how long a step takes by"
        what = "train each of them once by this base, or hold FLOPs equal"
    else:
        why, what = "they are not known before this base is loaded, for", "hold steps or tokens equal"
    raise Invalid.field("held", f"{UNITS[held].capitalize()} can't be held equal: {why} {', '.join(unknown)}; {what}.")


def _usual(found: Sequence[Candidate], each: Mapping[str, float], held: Held, baseline: str) -> float:
    spent = {one.method.name: each[one.method.name] * one.spec.steps for one in found}
    if baseline in spent:
        return spent[baseline]
    if len(set(spent.values())) == 1:
        return next(iter(spent.values()))
    raise Invalid.field(
        "amount", f"Say how many {UNITS[held]} each method may spend: the baseline {baseline!r}, whose own would be "
        "taken, is not among the methods."
    )  # fmt: skip
