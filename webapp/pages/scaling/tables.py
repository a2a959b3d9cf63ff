"""The numbers of a fit's result as tables: parameters, minima, predictions, the frontier and what was held out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from webapp.pages.runs.facts import NOTHING, signed
from webapp.pages.scaling import laws
from webapp.pages.scaling.cells import Cell, Column, Table, amount, is_number, power, span, words
from webapp.pages.templatetags import hone as text

Told = Mapping[str, Any]
MOST_ROWS = 200


def tables_of(result: Told, run_url: Callable[[int], str]) -> list[Table]:
    """Those that have rows. `run_url` leads to a run by its number."""
    then = result.get("then")
    found = [parameters(result), minima(result), *_foreseen(result, run_url)]
    if then:
        title = then["law"]["title"]
        found += [parameters(then, f"then-{title}"), minima(then)]
    return [table for table in found if table.rows]


def _foreseen(result: Told, run_url: Callable[[int], str]) -> list[Table]:
    """With a chained law, predictions and what was held out are in that one's terms."""
    target = (result.get("then") or result)["law"]["target"]
    return [predictions(result, target), frontier(result), held_out(result, target, run_url)]


def parameters(result: Told, name: str = "parameters") -> Table:
    """Free and fixed ones, then numbers made of them."""
    title = "Parameters" if name == "parameters" else f"Parameters of {result['law']['title']}"
    columns = [
        Column("Name", False), Column("Value"), Column(f"{_level(result)} interval"), Column("SE"), Column("Median"),
        Column("Identified", False), Column("What it is", False),
    ]  # fmt: skip
    rows = [
        *(_parameter(result, key, value) for key, value in laws.parameters(result).items()),
        *(_parameter(result, key, value) for key, value in laws.derived(result).items()),
    ]
    return Table(name, title, columns, rows, "numbers made of them below" if result.get("derived") else "")


def _parameter(result: Told, name: str, value: float) -> list[Cell]:
    about = (result.get("intervals") or {}).get(name)
    fixed, made = name in (result["law"].get("fixed") or {}), name in (result.get("derived") or {})
    known = about or {}
    identified = known.get("identified")
    said = "held" if fixed else NOTHING if identified is None else "yes" if identified else "no"
    helps = help_of(result)
    told = helps.get(name, "") or ("made of the parameters" if made else "")
    return [
        words(name), Cell(text.metric(value)), Cell(span(about, text.metric)),
        *(Cell(text.metric(known.get(key)) or NOTHING) for key in ("se", "median")),
        Cell(said, is_number=False, tone="bad" if identified is False else ""),
        words(told),
    ]  # fmt: skip


def help_of(result: Told) -> dict[str, str]:
    """What each parameter is, as the law's file says; {} for a law that is not installed."""
    return {each.name: each.help for each in laws.parameters_of(result)}


def _level(result: Told) -> str:
    return text.percent((result.get("bootstrap") or {}).get("level", 0.95))


def minima(result: Told) -> Table:
    """Only where there are several."""
    found = result.get("minima") or []
    names = list(laws.parameters(result))
    columns = [Column("Minimum", False), Column("Objective"), Column("Above the best"), *map(Column, names)]
    rows = [
        [words(f"{place}{' (reported)' if place == 1 else ''}"), Cell(text.metric(each["value"])),
         Cell(text.percent(each["relative"])), *(Cell(text.metric(each["parameters"].get(name))) for name in names)]
        for place, each in enumerate(found, 1)
    ]  # fmt: skip
    return Table("minima", "Minima", columns, rows if len(rows) > 1 else [], "all within 1 % of the best objective")


def predictions(result: Told, target: str) -> Table:
    found = result.get("predictions") or []
    names = laws.names(result, found[0]["at"]) if found else []
    columns = [*map(Column, names), Column(f"{target}"), Column("Band of the curve"),
               Column("Interval of a new measurement"), Column("Outside the points")]  # fmt: skip
    rows = [
        [*(Cell(amount(each["at"][name])) for name in names), Cell(text.metric(each["value"])),
         Cell(span(each["band"])), Cell(span(each["interval"])), Cell(_times(each["extrapolation"]))]
        for each in found[:MOST_ROWS]
    ]  # fmt: skip
    return Table("predictions", "Predictions", columns, rows)


def _times(value: Any) -> str:
    return "inside" if is_number(value) and value <= 1 else f"{value:.3g} times" if is_number(value) else NOTHING


def frontier(result: Told) -> Table:
    """The best N and D of each budget that was asked for, and the loss there."""
    columns = [Column("Compute, FLOPs"), Column("N*"), Column("D*"), Column("Tokens per parameter"), Column("loss")]
    rows = [
        [Cell(power(each["compute"])), Cell(amount(each["N"]), span(each["N_interval"])),
         Cell(amount(each["D"]), span(each["D_interval"])), Cell(_ratio(each)),
         Cell(text.metric(each["loss"]) or NOTHING, span(each["loss_band"]))]
        for each in (result.get("frontier") or [])[:MOST_ROWS]
    ]  # fmt: skip
    return Table("frontier", "Compute-optimal frontier", columns, rows, "intervals beside the values")


def _ratio(each: Told) -> str:
    return amount(each["D"] / each["N"]) if is_number(each["N"]) and is_number(each["D"]) and each["N"] else NOTHING


def held_out(result: Told, target: str, run_url: Callable[[int], str]) -> Table:
    told = result.get("holdout") or {}
    found = told.get("points") or []
    names = laws.names(result, found[0]["at"]) if found else []
    has_runs = any(each.get("run") is not None for each in found)
    columns = [*([Column("Run", False)] if has_runs else []), *map(Column, names), Column(f"{target}, measured"),
               Column("Predicted"), Column("Interval"), Column("Error"), Column("Inside", False)]  # fmt: skip
    rows = [list(_held_out(each, names, run_url if has_runs else None)) for each in found[:MOST_ROWS]]
    return Table("holdout", "Held out", columns, rows, told.get("rule", ""))


def _held_out(each: Told, names: list[str], run_url: Callable[[int], str] | None) -> Iterator[Cell]:
    run, inside = each.get("run"), each["inside"]
    if run_url is not None:
        url = run_url(run) if isinstance(run, int) and not isinstance(run, bool) else ""
        yield Cell(NOTHING if run is None else str(run), is_number=False, url=url)
    yield from (Cell(amount(each["at"][name])) for name in names)
    yield Cell(text.metric(each["measured"]))
    yield Cell(text.metric(each["predicted"]))
    yield Cell(span(each["interval"]))
    yield Cell(f"{signed_percent(each['relative_error'])}")
    said = NOTHING if inside is None else "yes" if inside else "no"
    yield Cell(said, is_number=False, tone="" if inside is None else "good" if inside else "bad")


def signed_percent(share: Any) -> str:
    """Two decimals below 1 %, one above."""
    if not is_number(share):
        return NOTHING
    return f"{share * 100:+.2f} %" if abs(share) < 0.01 else f"{signed(share * 100)} %"
