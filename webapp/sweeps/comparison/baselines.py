"""Which group the others are held against."""

from __future__ import annotations

from collections.abc import Sequence

from webapp.sweeps.comparison import levels
from webapp.sweeps.comparison.question import Question
from webapp.sweeps.comparison.samples import Seen


def baseline_of(seen: Sequence[Seen], asked: Question) -> tuple[Seen | None, str]:
    """The one that is asked for, else full fine-tuning, else what the runs name themselves, else the best."""
    valued = [one for one in seen if one.quality]
    if asked.baseline is not None:
        chosen = _holding(seen, [asked.baseline])
        return (chosen, "chosen") if chosen else _fallback(valued, asked, f"run {asked.baseline} is not among them; ")
    return _fallback(valued, asked, "")


def _fallback(valued: Sequence[Seen], asked: Question, said: str) -> tuple[Seen | None, str]:
    if full := [one for one in valued if one.group.method == levels.FULL]:
        return _best(full, asked), f"{said}full fine-tuning"
    if own := _holding(valued, asked.own_baselines):
        return own, f"{said}named by the runs"
    return (_best(valued, asked), f"{said}the best") if valued else (None, f"{said}no group has a value")


def _holding(seen: Sequence[Seen], runs: Sequence[int]) -> Seen | None:
    wanted = set(runs)
    return next((one for one in seen if any(row.run in wanted for row in one.group.rows)), None)


def _best(valued: Sequence[Seen], asked: Question) -> Seen:
    return min(valued, key=lambda one: asked.sign * one.quality.mean if one.quality else 0.0)
