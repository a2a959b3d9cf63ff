"""A ladder before it is queued: its rungs, what each will cost, and what to know of it beforehand.

N is without embeddings, head and norms, as in `gpu_jobs.ladder`, and C = 6 N D with it. `flops` counts everything that
is multiplied, head and attention included; time is forecast from these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gpu_jobs import cost, ladder
from gpu_jobs.errors import MethodError
from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, User
from webapp.runs import specs
from webapp.runs.forecast import Measured, forecast, measured
from webapp.scaling import supplies
from webapp.scaling.bases import Setting, base_of, setting, spec_of
from webapp.scaling.cautions import cautions
from webapp.scaling.definition import MOST_RUNGS, Definition


class Proposed(NamedTuple):
    """One run. `plan` is what a stored rung keeps; what is not known before it is loaded or measured is None."""

    plan: dict[str, Any]  # N, D, C, layers, width, heads, ffn, lr, batch_size, steps, sequence_length, seed
    spec: dict[str, Any]
    is_held_out: bool
    parameters: int | None  # all of them
    memory_bytes: int | None
    flops: float | None
    seconds: float | None
    repeats: float | None  # how often it reads its data


class Proposal(NamedTuple):
    """Cheapest rung first. `compute` is the sum of 6 N D; `seconds` is None as long as that of one rung is."""

    rungs: list[Proposed]
    warnings: list[str]
    compute: float
    seconds: float | None


class _Known(NamedTuple):
    """Looked up once for all rungs: how fast runs have been, and how many tokens there are."""

    rates: Sequence[Measured]
    tokens: int | None


def proposal(definition: Definition, user: User | None, project: Project) -> Proposal:
    """What `definition` is worth. Raises Invalid with what can't run, at its field."""
    base = base_of(definition, user, project)
    asked = _rungs(definition, int(base["sequence_length"]))
    settings = list(dict.fromkeys(setting(definition, base, each) for each in asked))
    _check(definition, len(settings))
    rungs = _all(definition, base, settings, _known(base, project))
    doubles = len(asked) - len(settings)
    same = [f"{doubles} of {len(asked)} rungs are like another and left out: tiny sizes have few shapes."]
    compute, seconds = sum(each.plan["C"] for each in rungs), [each.seconds for each in rungs]
    whole = None if None in seconds else sum(each for each in seconds if each is not None)
    return Proposal(rungs, [*(same if doubles else ()), *cautions(definition, base, rungs)], compute, whole)


def further(
    definition: Definition,
    points: Sequence[tuple[float, float]],
    user: User | None,
    project: Project,
    taken: Sequence[Mapping[str, Any]] = (),
) -> list[Proposed]:
    """A run for each (N, D), its seed such that it is none of the `taken` plans again. Raises Invalid at `at`."""
    base = base_of(definition, user, project)
    known, found = _known(base, project), []
    for parameters, tokens in points:
        try:
            rung = ladder.rung(parameters, tokens, int(base["sequence_length"]))
        except MethodError as error:
            raise Invalid.field("at", f"{str(error).capitalize()}.") from None
        one = setting(definition, base, rung)
        alike = sum((plan["N"], plan["D"]) == (one.shape.parameters, one.tokens) for plan in taken)
        found.append(_proposed(definition, base, one, alike, known))
    return found


def _known(base: Mapping[str, Any], project: Project) -> _Known:
    return _Known(measured(), supplies.tokens(base, project))


def _rungs(definition: Definition, sequence_length: int) -> list[ladder.Rung]:
    try:
        return definition.design.rungs(definition.target_flops, sequence_length)
    except MethodError as error:
        said = f"This budget is too small for these rungs ({error}): raise it, or lower reach."
        raise Invalid.field("target_flops", said) from None


def _check(definition: Definition, settings: int) -> None:
    if (runs := settings * definition.seeds) > MOST_RUNGS:
        said = f"This makes {runs} runs, and a ladder has at most {MOST_RUNGS}: ask for fewer sizes or seeds."
        raise Invalid.field("design", said)
    if definition.holdout >= settings:
        said = f"holdout must leave rungs to fit: {definition.holdout} of {settings} are held out."
        raise Invalid.field("holdout", said)


def _all(definition: Definition, base: Mapping[str, Any], settings: list[Setting], known: _Known) -> list[Proposed]:
    """Every setting with every seed, cheapest first; the dearest settings are held out."""
    ordered = sorted(settings, key=lambda each: each.shape.parameters * each.tokens)
    fitted = len(ordered) - definition.holdout
    return [
        _proposed(definition, base, one, seed, known)._replace(is_held_out=place >= fitted)
        for place, one in enumerate(ordered)
        for seed in range(definition.seeds)
    ]


def _proposed(definition: Definition, base: Mapping[str, Any], one: Setting, seed: int, known: _Known) -> Proposed:
    spec = spec_of(definition, base, one, seed)
    try:
        need = cost.plan(specs.checked(spec))
    except Invalid as error:
        said = f"A rung of {one.shape.parameters:,} parameters can't be made: {error}"
        raise Invalid.field("target_flops", said) from None
    total, per_step = need.flops["total"], need.flops["per_step"]
    return Proposed(
        plan=_plan(one, spec["seed"]),
        spec=spec,
        is_held_out=False,
        parameters=need.parameters["total"],
        memory_bytes=need.memory["total"],
        flops=float(total) if isinstance(total, int | float) else None,
        seconds=forecast(total, per_step, known.rates).seconds,
        repeats=one.tokens / known.tokens if known.tokens else None,
    )


def _plan(one: Setting, seed: int) -> dict[str, Any]:
    size, shape = one.shape.parameters, one.shape
    sizes = {"layers": shape.layers, "width": shape.width, "heads": shape.heads, "ffn": shape.ffn}
    training = {"lr": one.lr, "batch_size": one.batch_size, "steps": one.steps, "seed": seed}
    length = {"sequence_length": one.sequence_length}
    return {"N": size, "D": one.tokens, "C": 6.0 * size * one.tokens, **sizes, **training, **length}
