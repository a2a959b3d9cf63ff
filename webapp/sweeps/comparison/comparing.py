"""From rows to a comparison: groups, their means, each against the baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from webapp.sweeps.comparison import budgets, levels
from webapp.sweeps.comparison.baselines import baseline_of
from webapp.sweeps.comparison.cautions import cautions, notes
from webapp.sweeps.comparison.differences import versus
from webapp.sweeps.comparison.grouping import groups_of
from webapp.sweeps.comparison.measured import MEASURES, Measure
from webapp.sweeps.comparison.question import Question
from webapp.sweeps.comparison.results import Against, Amount, Budget, Comparison, Line, Verdict
from webapp.sweeps.comparison.samples import Seen, seen
from webapp.sweeps.measures import pareto, reading
from webapp.sweeps.rows import Row


def compared(rows: Sequence[Row], asked: Question, bases: Mapping[int, Row] | None = None) -> Comparison:
    """`bases`: runs by number whose models the compared ones start from. Raises KeyError for an unknown budget."""
    groups = groups_of(rows, asked.group)
    found = [seen(group, asked) for group in groups]
    baseline, why = baseline_of(found, asked)
    key = baseline.group.key if baseline else None
    held = budgets.budget(asked.budget, asked.tolerance, {one.group.key: one.budget for one in found}, key)
    fronts = {name: _front(found, measure, asked.sign) for name, measure in MEASURES.items()}
    lines = [_line(one, baseline, asked, fronts, held) for one in found]
    return Comparison(
        question=asked,
        baseline=key,
        why_baseline=why,
        outcomes=dict(sorted(Counter(row.status for row in rows).items())),
        lines=lines,
        budget=held,
        levels=[levels.full(lines, asked.sign), levels.base(groups, bases or {}, asked.metric)],
        cautions=cautions(asked, groups, lines),
        notes=notes(asked, lines),
    )


def _front(seen: Sequence[Seen], measure: Measure, sign: float) -> set[int]:
    """Keys of the groups that no other one beats in both, this measure and quality."""
    turn = -1 if measure.is_more_better else 1
    points = [(one.group.key, turn * amount.mean, sign * one.quality.mean) for one in seen
              if (amount := one.measures[measure.name]) and one.quality]  # fmt: skip
    return {key for (key, *_), is_on in zip(points, pareto.front([p[1:] for p in points]), strict=True) if is_on}


def _line(one: Seen, baseline: Seen | None, asked: Question, fronts: Mapping[str, set[int]], held: Budget) -> Line:
    group, against = one.group, _against(one, baseline, asked)
    counts = Counter(row.status for row in group.rows)
    return Line(
        key=group.key,
        label=group.label,
        method=group.method,
        settings=group.settings,
        runs=[row.run for row in group.rows],
        seeds=sorted({row.seed for row in group.rows if reading.score(row, asked.metric) is not None}),
        outcomes=dict(sorted(counts.items())),
        quality=one.quality,
        against=against,
        verdict=_verdict(one, baseline, against, asked.sign),
        measures=one.measures,
        ratios={name: _over(one.measures[name], baseline and baseline.measures[name]) for name in MEASURES},
        front=[name for name, keys in fronts.items() if group.key in keys],
        budget=held.ratios.get(group.key),
        is_within=group.key not in held.outside if group.key in held.ratios else None,
    )


def _against(one: Seen, baseline: Seen | None, asked: Question) -> Against | None:
    if baseline is None or one is baseline or not (one.sample and baseline.sample):
        return None
    found = versus(one.sample, baseline.sample, asked.test, asked.confidence)
    absolute, relative = found.absolute, found.relative
    return Against(
        test=found.test,
        pairs=found.n,
        difference=absolute.mean,
        low=absolute.low,
        high=absolute.high,
        p_value=absolute.p_value,
        relative=relative.mean if relative else None,
        relative_low=relative.low if relative else None,
        relative_high=relative.high if relative else None,
    )


def _verdict(one: Seen, baseline: Seen | None, against: Against | None, sign: float) -> Verdict:
    if one is baseline:
        return "baseline"
    if against is None:
        return "no value"
    if against.low is None or against.high is None:
        return "no interval"
    if against.low <= 0 <= against.high:
        return "below noise"
    return "better" if sign * against.difference < 0 else "worse"


def _over(amount: Amount | None, baseline: Amount | None) -> float | None:
    return amount.mean / baseline.mean if amount and baseline and baseline.mean else None
