"""The strip on top of a comparison: against whom, who is best, who is as good for less, and whether it was fair."""

from __future__ import annotations

from webapp.pages.compare import written
from webapp.pages.runs.facts import NOTHING, Fact
from webapp.pages.templatetags import hone as text
from webapp.runs.states import Status
from webapp.sweeps.comparison import Comparison, Line

NO_WORSE = ("better", "below noise", "baseline")


def facts_of(comparison: Comparison) -> list[Fact]:
    return [_baseline(comparison), _best(comparison), _smallest(comparison), _budget(comparison), _runs(comparison)]


def _baseline(comparison: Comparison) -> Fact:
    line = _line(comparison, comparison.baseline)
    if line is None or line.quality is None:
        return Fact("Baseline", line.label if line else NOTHING, comparison.why_baseline)
    return Fact("Baseline", line.label, f"{text.metric(line.quality.mean)} · {comparison.why_baseline}")


def _best(comparison: Comparison) -> Fact:
    valued = [line for line in comparison.lines if line.quality]
    if not valued:
        return Fact("Best", NOTHING, "no group has a value")
    sign = comparison.question.sign
    best = min(valued, key=lambda line: sign * line.quality.mean if line.quality else 0.0)
    return Fact("Best", best.label, " · ".join(part for part in (written.quality(best.quality)[0], _gap(best)) if part))


def _gap(line: Line) -> str:
    if line.against is None:
        return "the baseline" if line.verdict == "baseline" else ""
    if line.verdict == "below noise":
        return "difference below noise"
    told = written.signed(line.against.difference, line.against.low, line.against.high)[0]
    return f"{told}, no interval" if line.verdict == "no interval" else told


def _smallest(comparison: Comparison) -> Fact:
    """The fewest trained weights that can't be told to be worse than the baseline."""
    found = [line for line in comparison.lines if line.verdict in NO_WORSE and line.measures["trainable"]]
    if len(found) < 2:
        return Fact("Least trained, not worse", NOTHING, "no group is shown to be as good")
    least = min(found, key=lambda line: _trained(line))
    share = least.measures["trainable_share"]
    told = f"{text.si(_trained(least))} weights" + (f" · {text.percent(share.mean)}" if share else "")
    return Fact("Least trained, not worse", least.label, told)


def _trained(line: Line) -> float:
    amount = line.measures["trainable"]
    return amount.mean if amount else 0.0


def _budget(comparison: Comparison) -> Fact:
    held = comparison.budget
    word = {True: "equal", False: "not equal", None: "not known"}[held.is_equal]
    return Fact("Budget", word, held.sentence.rstrip("."))


def _runs(comparison: Comparison) -> Fact:
    total, done = sum(comparison.outcomes.values()), comparison.outcomes.get(Status.SUCCEEDED, 0)
    groups = f"in {len(comparison.lines):,} group{'s' if len(comparison.lines) != 1 else ''}"
    return Fact("Runs", f"{total:,}", f"{groups} · {done:,} succeeded" if done < total else groups)


def _line(comparison: Comparison, key: int | None) -> Line | None:
    return next((line for line in comparison.lines if line.key == key), None)
