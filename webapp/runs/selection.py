"""All runs that match a filter, as one thing to act on: what was confirmed is what is acted on, or nothing is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from django.db.models import QuerySet

from webapp.runs import actions
from webapp.runs.errors import Invalid, WrongState
from webapp.runs.models import Run

MOST_RUNS = 5000
PIECE_RUNS = 500
Action = Callable[[Run], object]
PAST = {
    "cancel": "cancelled", "pause": "paused", "resume": "resumed", "requeue": "requeued", "delete": "deleted",
    "tag": "tagged",
}  # fmt: skip


class Selection(NamedTuple):
    """`digest` is that of the numbers: it changes when another run matches, or one no longer does."""

    numbers: tuple[int, ...]
    digest: str

    @property
    def count_text(self) -> str:
        return count_text(len(self.numbers))


def count_text(number: int) -> str:
    return f"{number:,} run{'' if number == 1 else 's'}"


class Done(NamedTuple):
    count: int  # type: ignore[assignment]  # shadows tuple.count
    refused: list[str]  # of each run that did not allow it, why


def select(runs: QuerySet[Run]) -> Selection:
    """The runs as they are now. Raises Invalid where they are more than can be acted on at once."""
    numbers = tuple(runs.order_by("pk").values_list("pk", flat=True)[: MOST_RUNS + 1])
    if len(numbers) > MOST_RUNS:
        raise Invalid.field(
            "q", f"At most {MOST_RUNS:,} runs can be changed at once, and more are like this: narrow the filter."
        )
    return Selection(numbers, hashlib.sha256(",".join(map(str, numbers)).encode()).hexdigest())


def action_of(name: str, tag: str = "") -> Action | None:
    """What to do to each run, looked up by its name in a fixed list."""
    named: dict[str, Action] = {
        "cancel": actions.cancel,
        "pause": actions.pause,
        "resume": actions.resume,
        "requeue": actions.requeue,
        "delete": actions.delete,
        "tag": lambda run: actions.tag(run, tag),
    }
    return named.get(name)


def act(numbers: Sequence[int], action: Action) -> Done:
    """Each run for itself, in order of their numbers; those deleted meanwhile are left out."""
    refused: list[str] = []
    count = 0
    for start in range(0, len(numbers), PIECE_RUNS):
        piece = numbers[start : start + PIECE_RUNS]
        for run in Run.objects.filter(pk__in=piece, deleted_at=None).select_related("project").order_by("pk"):
            reason = _try(run, action)
            count += not reason
            refused += [reason] if reason else []
    return Done(count, refused)


def _try(run: Run, action: Action) -> str:
    """Empty when it was done, else the reason."""
    try:
        action(run)
    except (WrongState, Invalid) as error:
        return str(error)
    return ""
