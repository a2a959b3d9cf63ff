"""The strip of facts on top of a ladder, the bar of its runs, and what it has to say."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any, NamedTuple

from django.urls import NoReverseMatch, reverse

from webapp.pages.runs.facts import NOTHING, Fact
from webapp.pages.scaling.ladder_cells import power
from webapp.pages.sweeps.segments import Segment, segments_of
from webapp.pages.templatetags import hone as text
from webapp.runs.states import ACTIVE, Status
from webapp.scaling.definition import Definition
from webapp.scaling.ladder_queries import Standing
from webapp.scaling.models import Ladder
from webapp.scaling.next_runs import Suggestions
from webapp.sweeps.states import TrialStatus

AS_TRIALS = {
    Status.QUEUED: TrialStatus.QUEUED, Status.PAUSED: TrialStatus.QUEUED, Status.SUCCEEDED: TrialStatus.SUCCEEDED,
    Status.CANCELLED: TrialStatus.CANCELLED, **dict.fromkeys(ACTIVE, TrialStatus.RUNNING),
}  # fmt: skip


class Note(NamedTuple):
    title: str
    text: str
    tone: str = "wait"


def segments(counts: Mapping[str, int]) -> list[Segment]:
    """The bar that sweeps have: whatever went wrong is one segment."""
    found = {**dict.fromkeys(TrialStatus.values, 0), "total": sum(counts.values())}
    for status, number in counts.items():
        found[AS_TRIALS.get(Status(status), TrialStatus.FAILED)] += number
    return segments_of(found, found["total"])


def facts(definition: Definition, standing: Standing, suggestions: Suggestions) -> list[Fact]:
    return [
        _target(definition, suggestions),
        _loss(definition, suggestions),
        _runs(standing),
        Fact("Compute", power(standing.spent) if standing.spent else NOTHING, f"of {power(standing.asked)} FLOPs"),
        _held_out(standing),
    ]


def notes(ladder: Ladder, standing: Standing) -> list[Note]:
    found = []
    if ladder.fit is not None and ladder.fit.deleted_at is None:
        if ladder.fit.notice and (standing.latest is not None or not standing.is_live):
            found.append(Note("Fit", ladder.fit.notice))
    elif ladder.fit_id is not None:
        found.append(Note("No fit", "Its fit was deleted.", "still"))
    result: Mapping[str, Any] = (standing.latest.run.result or {}) if standing.latest is not None else {}
    found += [Note(text.words(each["code"]).capitalize(), each["message"]) for each in result.get("warnings", [])]
    return found


def url_of(name: str, *args: Any) -> str:
    """ "" where this installation has no such page."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


def _target(definition: Definition, suggestions: Suggestions) -> Fact:
    target = suggestions.target
    best = f"best: {text.si(target.at['N'])} parameters, {text.si(target.at['D'])} tokens" if target else "FLOPs"
    return Fact("Target", power(definition.target_flops), best)


def _loss(definition: Definition, suggestions: Suggestions) -> Fact:
    target = suggestions.target
    if target is None:
        return Fact("Loss at the target", NOTHING, "no fit yet")
    level = text.percent(definition.bootstrap.level)
    told = "no interval" if target.low is None else f"{interval(target.low, target.high)}, {level} of fits"
    return Fact("Loss at the target", text.metric(target.loss), told)


def interval(low: float | None, high: float | None) -> str:
    """ "1.812 to 1.874"; a dash where there is none."""
    return NOTHING if low is None or high is None else f"{text.metric(low)} to {text.metric(high)}"


def _runs(standing: Standing) -> Fact:
    done, total = standing.counts.get(Status.SUCCEEDED, 0), sum(standing.counts.values())
    wrong = sum(n for status, n in standing.counts.items() if Status(status) not in AS_TRIALS)
    waiting = standing.counts.get(Status.QUEUED, 0)
    told = [f"{wrong} failed" if wrong else "", f"{waiting} wait" if waiting else ""]
    return Fact("Runs", f"{done} of {total}", ", ".join(filter(None, told)))


def _held_out(standing: Standing) -> Fact:
    known = [(row.foreseen, row.loss) for row in standing.rows if row.foreseen is not None and row.loss is not None]
    if not known:
        return Fact("Held-out error", NOTHING, "nothing measured yet")
    error = mean(abs(foreseen.loss / loss - 1) for foreseen, loss in known)
    inside = [foreseen.inside for foreseen, _ in known]
    told = "no interval" if None in inside else f"{sum(map(bool, inside))} of {len(inside)} inside the interval"
    return Fact("Held-out error", text.percent(error), told)
