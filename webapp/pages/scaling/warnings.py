"""The doubts that a fit tells of itself, as notes: what is doubted, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.pages.runs.notes import Note
from webapp.pages.templatetags import hone as text

TITLES = {
    "not_identified": "Not identified",
    "several_minima": "Several minima",
    "pole": "Pole",
    "extrapolation": "Extrapolates",
    "holdout_missed": "Hold-out missed",
    "few_points": "Few points",
    "bootstrap_failed": "Resamples failed",
}
ADVICE = {
    "not_identified": "Add runs that vary more in what it depends on, hold it at a value (fixed), or take a law with "
    "fewer parameters.",
    "several_minima": "Compare them below; more points, or a parameter held at a value, decide between them.",
    "pole": "Take another law, or hold the exponent that causes it at a value.",
    "extrapolation": "A larger run near that place would make them safe.",
    "holdout_missed": "Read predictions as more uncertain than their intervals, add larger runs, or try another law.",
    "few_points": "Add points or hold parameters at values before believing the intervals.",
    "bootstrap_failed": "More points, or resampling by another unit, leave fewer of them.",
}


def notes_of(result: Mapping[str, Any]) -> list[Note]:
    """One a code, in the order of the fit; those of a chained law say so."""
    then = result.get("then") or {}
    return [*_notes(result.get("warnings") or [], ""), *_notes(then.get("warnings") or [], "Second law: ")]


def _notes(warnings: list[Mapping[str, str]], of: str) -> list[Note]:
    said: dict[str, list[str]] = {}
    for warning in warnings:
        said.setdefault(warning["code"], []).append(warning["message"])
    return [
        Note(_title(code, of), " ".join([*messages, ADVICE.get(code, "")]).strip()) for code, messages in said.items()
    ]


def _title(code: str, of: str) -> str:
    return f"{of}{TITLES.get(code, text.words(code).capitalize())}"
