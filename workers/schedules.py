"""Begins what the schedules say, in the scheduler process itself: workers may be busy for hours."""

from __future__ import annotations

from datetime import datetime

from celery.utils.log import get_logger

from webapp.sweeps.scheduling import actions, clock, queries
from workers.database import AWAY

SHORTEST_WAIT_S = 0.2  # while another scheduler is at a time that has come
logger = get_logger(__name__)


def fire_due() -> float:
    """Deals with every time that has come; seconds until the next. Raises OperationalError and InterfaceError."""
    for schedule_id, due_at in queries.due(clock.now()):
        _fire(schedule_id, due_at)
    following = queries.next_time()
    if following is None:
        return float("inf")
    return max(SHORTEST_WAIT_S, (following - clock.now()).total_seconds())


def _fire(schedule_id: int, due_at: datetime) -> None:
    try:
        firing = actions.fire(schedule_id, due_at)
    except AWAY:
        raise
    except Exception as error:  # one broken schedule must stop neither the others nor the scheduler
        logger.exception("Schedule %s at %s failed", schedule_id, due_at)
        actions.give_up(schedule_id, due_at, f"An error in Hone: {type(error).__name__}: {error}")
    else:
        if firing:
            logger.info("Schedule %s at %s: %s", schedule_id, due_at, firing.outcome)
