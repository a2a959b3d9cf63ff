"""The table of groups: each against the baseline, in what it reaches and in what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from webapp.pages.compare import written
from webapp.pages.compare.asked import Asked
from webapp.pages.runs.facts import NOTHING
from webapp.runs.models import Run
from webapp.sweeps.comparison import Comparison, Line
from webapp.sweeps.comparison.grouping import short, shown
from webapp.sweeps.comparison.measured import BUDGETS, MEASURES, Measure

PAGE_ROWS = 100
MOST_DOTS = 12
VERDICTS = {
    "baseline": "baseline", "better": "better", "worse": "worse", "below noise": "difference below noise",
    "no interval": "no interval", "no value": "no value",
}  # fmt: skip
Key = Callable[[Line], float | str | None]


class Head(NamedTuple):
    label: str
    url: str
    direction: str  # "ascending", "descending" or ""
    is_number: bool
    help: str = ""


class Cell(NamedTuple):
    text: str
    note: str = ""
    is_marked: bool = False


class Row(NamedTuple):
    """`beside` tells settings that the label leaves out. `runs` are the first of the group; `more` are left out."""

    line: Line
    is_baseline: bool
    verdict: str
    settings: str
    beside: str
    runs: list[Run]
    more: int
    lost: str
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    asked: Asked
    heads: Sequence[Head]
    rows: Sequence[Row]
    found: int

    @property
    def next_url(self) -> str:
        return self.asked.url_query(page=self.asked.page + 1) if self.asked.page * PAGE_ROWS < self.found else ""

    @property
    def previous_url(self) -> str:
        return self.asked.url_query(page=self.asked.page - 1) if self.asked.page > 1 else ""

    @property
    def range_text(self) -> str:
        first = (self.asked.page - 1) * PAGE_ROWS + 1
        return f"{first:,}-{min(first + PAGE_ROWS - 1, self.found):,} of {self.found:,}"


def measured(comparison: Comparison) -> list[Measure]:
    """The measures that any group has."""
    return [one for name, one in MEASURES.items() if any(line.measures[name] for line in comparison.lines)]


def table(comparison: Comparison, asked: Asked, runs: Mapping[int, Run]) -> Table:
    measures = measured(comparison)
    keys = _keys(comparison, measures)
    sort = asked.sort if asked.sort.removeprefix("-") in keys else _usual(comparison)
    lines = _sorted(comparison.lines, keys[sort.removeprefix("-")], is_descending=sort.startswith("-"))
    asked = asked.model_copy(update={"page": min(asked.page, max(1, -(-len(lines) // PAGE_ROWS)))})
    first = (asked.page - 1) * PAGE_ROWS
    rows = [_row(line, comparison, measures, runs) for line in lines[first : first + PAGE_ROWS]]
    return Table(asked, _heads(comparison, asked, sort, measures), rows, len(lines))


def _usual(comparison: Comparison) -> str:
    """The best on top."""
    return "quality" if comparison.question.goal == "minimize" else "-quality"


def _keys(comparison: Comparison, measures: Sequence[Measure]) -> dict[str, Key]:
    return {
        "label": lambda line: line.label,
        "seeds": lambda line: len(line.seeds),
        "quality": lambda line: line.quality and line.quality.mean,
        "difference": lambda line: _difference(line, comparison),
        "relative": lambda line: _difference(line, comparison),
        "verdict": lambda line: VERDICTS[line.verdict],
        "budget": lambda line: line.budget,
        **{one.name: _of_measure(one.name) for one in measures},
    }


def _of_measure(name: str) -> Key:
    def key(line: Line) -> float | None:
        amount = line.measures[name]
        return amount.mean if amount else None

    return key


def _difference(line: Line, comparison: Comparison) -> float | None:
    if line.key == comparison.baseline:
        return 0.0
    return line.against.difference if line.against else None


def _sorted(lines: Sequence[Line], key: Key, *, is_descending: bool) -> list[Line]:
    """What has no value comes last either way."""
    known = [line for line in lines if key(line) is not None]
    rest = [line for line in lines if key(line) is None]
    return sorted(known, key=lambda line: key(line) or 0, reverse=is_descending) + rest


def _heads(comparison: Comparison, asked: Asked, sort: str, measures: Sequence[Measure]) -> list[Head]:
    confidence = f"{comparison.question.confidence * 100:g} % interval over seeds"
    held = BUDGETS[comparison.question.budget]
    named = [
        ("label", "Group", False, "Runs that differ in their seed alone."),
        ("seeds", "Runs", False, "One dot a run, by how it ended; only those that succeeded count."),
        ("quality", comparison.question.metric, True, f"Mean, and half of its {confidence}."),
        ("difference", "Difference", True, f"To the baseline, and its {confidence}."),
        ("relative", "Relative", True, f"The difference over the baseline, and its {confidence} (Fieller)."),
        ("verdict", "Against the baseline", False, "Better and worse only where the interval does not hold 0."),
        *((one.name, one.label, True, one.help) for one in measures),
        ("budget", f"Budget: {held.label.lower()}", True, "Over the baseline's."),
    ]
    return [_head(asked, sort, *about) for about in named]


def _head(asked: Asked, sort: str, name: str, label: str, is_number: bool, about: str) -> Head:
    direction = {name: "ascending", f"-{name}": "descending"}.get(sort, "")
    by = f"-{name}" if direction == "ascending" else name
    return Head(label, asked.url_query(sort=by, page=None), direction, is_number, about)


def _row(line: Line, comparison: Comparison, measures: Sequence[Measure], runs: Mapping[int, Run]) -> Row:
    is_baseline = line.key == comparison.baseline
    found = [runs[number] for number in line.runs[:MOST_DOTS] if number in runs]
    lost = {status: count for status, count in line.outcomes.items() if status != "succeeded"}
    return Row(
        line=line,
        is_baseline=is_baseline,
        verdict=VERDICTS[line.verdict],
        settings=", ".join(f"{path} {shown(value)}" for path, value in line.settings.items()),
        beside=", ".join(f"{short(path, line.settings)} {shown(value)}" for path, value in _beside(line)),
        runs=found,
        more=len(line.runs) - len(found),
        lost=", ".join(f"{count} {status.replace('_', ' ')}" for status, count in lost.items()),
        cells=[
            Cell(*written.quality(line.quality)),
            *_differences(line, is_baseline=is_baseline),
            *(_measure(line, one, is_baseline=is_baseline) for one in measures),
            Cell(written.times(line.budget) or NOTHING, is_marked=line.is_within is False),
        ],
    )


def _beside(line: Line) -> list[tuple[str, object]]:
    """Settings that differ between groups, but for the method's own and what the label says already."""
    told = ((path, value) for path, value in line.settings.items() if not path.startswith("method."))
    return [(path, value) for path, value in told if f"{short(path, line.settings)} {shown(value)}" not in line.label]


def _differences(line: Line, *, is_baseline: bool) -> tuple[Cell, Cell]:
    """To the baseline, and as a share of it, each with its interval."""
    against = line.against
    if against is None:
        return (Cell(""), Cell("")) if is_baseline else (Cell(NOTHING), Cell(NOTHING))
    absolute = Cell(*written.signed(against.difference, against.low, against.high))
    if against.relative is None:
        return absolute, Cell(NOTHING, "the baseline is 0")
    low, high = (None if share is None else share * 100 for share in (against.relative_low, against.relative_high))
    return absolute, Cell(*written.signed(against.relative * 100, low, high, unit=" %"))


def _measure(line: Line, measure: Measure, *, is_baseline: bool) -> Cell:
    ratio = "" if is_baseline else written.times(line.ratios[measure.name])
    return Cell(written.amount(line.measures[measure.name], measure.unit), ratio)
