"""The progress of a sweep as a thin bar: one segment a state, the trials to come left empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from webapp.sweeps.states import BAD, TrialStatus

TONES = {
    "good": ("succeeded", [TrialStatus.SUCCEEDED]),
    "still": ("stopped early", [TrialStatus.STOPPED]),
    "bad": ("failed", sorted(BAD)),
    "edge": ("cancelled", [TrialStatus.CANCELLED]),
    "busy": ("running", [TrialStatus.RUNNING]),
    "wait": ("queued", [TrialStatus.QUEUED]),
}


class Segment(NamedTuple):
    """`start` and `width` in percent of all trials."""

    tone: str
    label: str
    trials: int
    start: float
    width: float


def segments_of(counts: Mapping[str, int], limit: int) -> list[Segment]:
    """Those with a trial in them; `counts` by trial status with their "total"."""
    whole = max(limit, counts["total"], 1)
    found, start = [], 0.0
    for tone, (label, statuses) in TONES.items():
        count = sum(counts[status] for status in statuses)
        width = round(100 * count / whole, 3)
        if count:
            found.append(Segment(tone, label, count, round(start, 3), width))
        start += width
    return found
