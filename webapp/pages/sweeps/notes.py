"""What needs attention about a sweep, each in one sentence that says what to do or that nothing has to be done."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Count

from webapp.pages.runs.notes import Note
from webapp.runs.models import Run
from webapp.sweeps import budget, statistics, winners
from webapp.sweeps.budget import Spent
from webapp.sweeps.definition import Definition, sign
from webapp.sweeps.models import Replicate, Sweep, SweepEvent, Trial
from webapp.sweeps.states import BAD, Role, SweepStatus, TrialStatus

ENDINGS = {
    SweepStatus.SUCCEEDED: ("Done", "good"),
    SweepStatus.STOPPED: ("Stopped", "still"),
    SweepStatus.FAILED: ("Failed", "bad"),
}


def notes_of(sweep: Sweep, checked: Definition, counts: Mapping[str, int], spent: Spent) -> list[Note]:
    """How it ended or why it rests, what failed, what the budget no longer allows, whether the winner is certain."""
    return [*_state(sweep), *_failed(sweep, counts), *_budget(sweep, spent), *_doubt(sweep, checked)]


def _state(sweep: Sweep) -> list[Note]:
    if sweep.status in ENDINGS:
        title, tone = ENDINGS[SweepStatus(sweep.status)]
        return [Note(title, sweep.end_reason, tone)] if sweep.end_reason else []
    if sweep.status == SweepStatus.PAUSED:
        last = SweepEvent.objects.filter(sweep=sweep, message__startswith="Paused").order_by("-id").first()
        why = last.message.removeprefix("Paused: ").removeprefix("Paused.") if last else ""
        return [
            Note(
                "Paused", why or "Nothing new is queued; what trains goes on to its end.", "still" if not why else "bad"
            )
        ]
    if sweep.status == SweepStatus.REPORTING:
        return [Note("Reporting", "Tuning is over; the winner runs on its test seeds.", "busy")]
    return []


def _failed(sweep: Sweep, counts: Mapping[str, int]) -> list[Note]:
    """How many failed, and the message that most of them have."""
    number = sum(counts[status] for status in BAD)
    if not number:
        return []
    of_bad = Run.objects.filter(replicate__trial__sweep=sweep, replicate__trial__status__in=BAD)
    said = of_bad.exclude(error_message="").order_by().values_list("error_message")
    common = said.annotate(times=Count("pk")).order_by("-times", "error_message").first()
    parts = [f"{counts[status]:,} {status.replace('_', ' ')}" for status in BAD if counts[status]]
    most = f" Most often: {common[0]}" if common else ""
    title = f"{number:,} trial{'' if number == 1 else 's'} without a result"
    return [Note(title, f"{', '.join(sorted(parts))}.{most}", "bad" if counts[TrialStatus.FAILED] else "wait")]


def _budget(sweep: Sweep, spent: Spent) -> list[Note]:
    if sweep.status != SweepStatus.RUNNING or not any(sweep.definition["budget"].values()):
        return []
    refusal = budget.refusal(sweep, spent, [])
    return [Note("Budget", refusal)] if refusal else []


def _doubt(sweep: Sweep, checked: Definition) -> list[Note]:
    """Whether the first two can be told apart, and how many more seeds that would take."""
    if len(checked.objective) > 1:
        return []
    by = (winners.FIRST_VALUE * sign(checked.objective[0])).asc(nulls_last=True)
    done = Trial.objects.filter(sweep=sweep, status=TrialStatus.SUCCEEDED, values__isnull=False)
    first = list(done.order_by(by, "number")[:2])
    if len(first) < 2:
        return []
    seeds = Replicate.objects.filter(trial__in=first, role=Role.TUNE, values__isnull=False).order_by("seed")
    values: dict[int, list[float]] = {trial.pk: [] for trial in first}
    for trial_id, told in seeds.values_list("trial_id", "values"):
        values[trial_id].append(float((told or [0.0])[0]))
    return _told(first[0], first[1], values, checked)


def _told(one: Trial, other: Trial, values: dict[int, list[float]], checked: Definition) -> list[Note]:
    some, others = values[one.pk], values[other.pk]
    if min(len(some), len(others)) < 2:
        return []
    confidence = checked.seeds.confidence
    more = statistics.seeds_needed(some, others, confidence=confidence)
    if more == 0:
        return []
    which = f"Trials {one.number} and {other.number}, the first two, can't be told apart at {confidence * 100:g} %"
    if more is None:
        return [Note("Not settled", f"{which}: their seeds say the same.", "still")]
    return [Note("Not settled", f"{which}: about {more:,} more seed{'' if more == 1 else 's'} of each would.", "still")]
