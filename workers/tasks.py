"""The one Celery task. Its message is a ticket; who gets which run is decided in Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webapp.runs.tickets import TASK
from workers.app import app

if TYPE_CHECKING:
    from workers.slots import Slots

_slots: Slots | None = None  # of this worker process


@app.task(name=TASK)  # type: ignore[untyped-decorator]
def work() -> None:
    """Runs the best queued runs on a free slot until none is left."""
    if _slots is not None:
        _slots.work()


def serve(slots: Slots) -> None:
    """Says on whose slots tickets are worked off in this process."""
    global _slots  # Celery calls a plain function
    _slots = slots
