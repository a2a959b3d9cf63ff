"""What a page tells of a scaling fit that has ended well: from the run's result alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.urls import reverse

from webapp.pages.runs.facts import NOTHING, Fact
from webapp.pages.runs.notes import Note
from webapp.pages.scaling import laws
from webapp.pages.scaling.cells import Table, amount, is_number, power, span
from webapp.pages.scaling.tables import tables_of
from webapp.pages.scaling.warnings import notes_of
from webapp.pages.templatetags import hone as text
from webapp.runs.models import Run

Told = Mapping[str, Any]
GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "kappa": "κ", "lambda": "λ", "eta": "η"}  # noqa: RUF001
MOST_NAMED = 4  # parameters in the strip; all of them stand in the table
OBJECTIVES = {
    "huber_log": "sum of the Huber loss of ln(measured) - ln(predicted)",
    "l1_log": "sum of |ln(measured) - ln(predicted)|",
    "least_squares": "sum of (measured - predicted)²",
    "least_squares_log": "sum of (ln(measured) - ln(predicted))²",
}


class Fitted(NamedTuple):
    """`statements`: what holds for every number here: objective, outliers, hold-out, resamples."""

    title: str
    size: str
    facts: list[Fact]
    notes: list[Note]
    statements: list[tuple[str, str]]
    tables: list[Table]


def fitted_of(run: Run) -> Fitted | None:
    """None of a run of another kind, and of one that has no result yet."""
    result = run.result or {}
    if run.kind != "scaling_fit" or not isinstance(result.get("parameters"), dict):
        return None
    slug = run.project.slug
    tables = tables_of(result, lambda number: reverse("run", args=[slug, number]))
    return Fitted(
        result["law"]["title"], size_of(result), facts_of(result), notes_of(result), statements_of(result), tables
    )


def size_of(result: Told) -> str:
    """ "24 runs · 3 held out"."""
    points = result["points"]
    used, out = points["used"] + points["held_out"], points["held_out"]
    noun = "run" if points["source"] == "runs" else "point"
    said = f"{used:,} {noun}{'' if used == 1 else 's'}"
    return f"{said} · {out:,} held out" if out else said


def facts_of(result: Told) -> list[Fact]:
    """Parameters that matter most, the error on what was held out, and the best use of the first budget asked for."""
    return [*_named(result), _error(result), *_budget(result)]


def _named(result: Told) -> Iterator[Fact]:
    """E, the exponents, and a; where there are fewer of these, the other parameters."""
    known, variables = laws.parameters_of(result), result["law"]["variables"]
    exponents = {each.name: variables.get(each.exponent_of, "") for each in known if each.exponent_of}
    first = [name for name in laws.parameters(result) if name == "E" or name in exponents]
    rest = [name for name in laws.parameters(result) if name not in first]
    made = ["a"] if "a" in laws.derived(result) else []
    values = {**result["parameters"], **laws.derived(result)}
    for name in [*[*first, *rest][: MOST_NAMED - len(made)], *made]:
        value = values[name]
        yield Fact(_label(name, exponents, made), text.metric(value), _interval(result, name))


def _label(name: str, exponents: Mapping[str, str], made: list[str]) -> str:
    if name in made:
        return "N* ∝ C^a"
    more = exponents.get(name) or ("irreducible" if name == "E" else "")
    letter, below, rest = name.partition("_")
    return f"{GREEK.get(letter, letter)}{below}{rest} {more.partition(' ')[0]}".strip()


def _interval(result: Told, name: str) -> str:
    if name in (result["law"].get("fixed") or {}):
        return "held at this value"
    told = (result.get("intervals") or {}).get(name)
    if told and told.get("identified") is False:
        return "not identified"
    said = span(told, text.metric)
    return "no interval" if said == NOTHING else said


def _error(result: Told) -> Fact:
    told = result.get("holdout")
    if not told:
        r2 = (result.get("statistics") or {}).get("r2")
        return Fact("R²", amount(r2), "of the fitted points; none was held out")
    inside = {True: "inside its interval", False: "outside its interval", None: "no interval"}[told["inside"]]
    return Fact("Held-out error", text.percent(told["mean_relative_error"]), inside)


def _budget(result: Told) -> Iterator[Fact]:
    for each in (result.get("frontier") or [])[:1]:
        yield Fact(f"Budget {power(each['compute'])}", amount(each["N"]), f"parameters · {amount(each['D'])} tokens")


def statements_of(result: Told) -> list[tuple[str, str]]:
    found = list(_statements(result))
    then = result.get("then")
    return found + [(f"{key}, second law", said) for key, said in _statements(then)] if then else found


def _statements(result: Told) -> Iterator[tuple[str, str]]:
    yield "Objective", _objective(result["objective"])
    yield "Outliers", _outliers(result["outliers"])
    told = result.get("holdout")
    yield "Held out", told["rule"] if told else "nothing: every point was fitted"
    yield "Intervals", _resamples(result.get("bootstrap"))
    if seen := result.get("fit"):
        seconds = f"{seen['seconds']:.2g} s" if is_number(seen.get("seconds")) else ""
        yield "Fit", f"{seen['starts']:,} starts, the best {seen['polished']:,} followed to their minimum, {seconds}"
    statistics = result.get("statistics") or {}
    yield "Residuals", f"R² {amount(statistics.get('r2'))}, RMSE {amount(statistics.get('rmse'))}"


def _objective(told: Told) -> str:
    delta = f", delta {amount(told['delta'])}" if is_number(told.get("delta")) else ""
    name = OBJECTIVES.get(told["name"], told["name"])
    value = f"{told['value']:.6g}" if is_number(told["value"]) else "not finite"
    return f"{name}{delta}: {value} over {told['points']:,} points"


def _outliers(told: Told) -> str:
    said = f"{told['rule']}; {told['dropped']:,} dropped" if told["dropped"] else str(told["rule"])
    return f"{said}; {told['incomplete']:,} rows without a value" if told["incomplete"] else said


def _resamples(told: Told | None) -> str:
    if not told:
        return "none: no resample was drawn"
    unit = f"{told['units']:,} {told['unit']}s" if told.get("units") else f"{told['unit']}s"
    said = f"{text.percent(told['level'])}, from {told['resamples']:,} resamples of {unit}, seed {told['seed']}"
    return f"{said}; {told['failed']:,} of them have no fit" if told["failed"] else said
