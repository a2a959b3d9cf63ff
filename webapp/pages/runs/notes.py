"""What needs attention about a run, each in one sentence that says what to do or that nothing has to be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from webapp.runs.models import Attempt, Queue, Run
from webapp.runs.queries import waits_for
from webapp.runs.states import FINAL, Status

TITLES = {
    Status.FAILED: ("Failed", "bad"),
    Status.OUT_OF_MEMORY: ("Out of memory", "bad"),
    Status.DIVERGED: ("Diverged", "bad"),
    Status.LOST: ("Lost", "bad"),
}
DEFAULTS = {
    Status.FAILED: "It ended with an error; its log says more.",
    Status.OUT_OF_MEMORY: "It needed more memory than the device has: use a smaller batch or more accumulation.",
    Status.DIVERGED: "The loss is no longer a finite number: lower the learning rate or clip the gradient.",
    Status.LOST: "Its worker fell silent and no attempt is left: requeue it to go on from its last checkpoint.",
}


class Note(NamedTuple):
    title: str
    text: str
    tone: str = "wait"


def notes_of(run: Run, attempts: Sequence[Attempt]) -> list[Note]:
    """What to say above the tabs: how it ended, why it waits, from where it was resumed."""
    return [*_outcome(run), *_waiting(run), *_resumed(run, attempts)]


def _outcome(run: Run) -> list[Note]:
    if run.status not in TITLES:
        return []
    title, tone = TITLES[Status(run.status)]
    return [Note(title, run.error_message or DEFAULTS[Status(run.status)], tone)]


def _waiting(run: Run) -> list[Note]:
    if run.status == Status.PAUSED:
        sentence = f"It stands at step {run.step:,} with its checkpoint; resume puts it back into the queue."
        return [Note("Paused", sentence, "still")]
    if run.status != Status.QUEUED:
        return []
    for source in waits_for(run):
        return [Note("Waits", f"It starts from the model of run {source.pk}, {source.name}, which has not ended.")]
    if Queue.objects.filter(name=run.queue_id, paused=True).exists():
        return [Note("Waits", f"The queue {run.queue_id} is paused: nothing starts from it until it is resumed.")]
    return []


def _resumed(run: Run, attempts: Sequence[Attempt]) -> list[Note]:
    if run.status in FINAL or len(attempts) < 2:
        return []
    before, last = attempts[-2], attempts[-1]
    if before.status != Status.LOST or last.resumed_from_step is None:
        return []
    went_on = f"from the checkpoint at step {last.resumed_from_step:,}" if last.resumed_from_step else "from the start"
    sentence = (
        f"Attempt {before.number} was lost with its worker at step {before.last_step:,}; attempt {last.number} "
        f"went on {went_on}. No point is missing or doubled."
    )
    return [Note("Resumed", sentence)]
