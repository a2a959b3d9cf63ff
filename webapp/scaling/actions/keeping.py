"""Fits that are kept current: looked up again once something has ended in their project, and revised when it matters.

Every worker calls this every few seconds; it holds no state of its own.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from webapp.accounts.errors import Invalid
from webapp.runs.models import Run
from webapp.runs.states import FINAL, Status
from webapp.scaling import lookup
from webapp.scaling.actions.fits import parsed_spec, revise_on
from webapp.scaling.models import Fit, Revision
from webapp.scaling.points import hash_of

PAUSE = timedelta(seconds=3)  # between two looks at one fit, whoever looks
GRACE = timedelta(seconds=10)  # a run's end is dated when its transaction begins, and seen when that is committed
logger = logging.getLogger(__name__)


def keep_current() -> int:
    """Revises every kept fit whose points are others now. Returns how many were revised.

    Any number of callers at once revise a fit once. A fit that can't be revised says why in its notice, and stops none
    of the others.
    """
    return sum(_kept(fit_id) for fit_id in due().values_list("pk", flat=True))


def due() -> QuerySet[Fit]:
    """Kept fits without an unfinished revision in whose project a run has ended or gone since they were looked at."""
    open_run = Revision.objects.filter(fit=OuterRef("pk"), run__deleted_at=None).exclude(run__status__in=FINAL)
    since = Q(ended_at__gt=OuterRef("looked_at") - GRACE, status=Status.SUCCEEDED)
    since |= Q(deleted_at__gt=OuterRef("looked_at") - GRACE)
    news = Run.objects.filter(since, project=OuterRef("project")).exclude(kind="scaling_fit")
    is_due = Q(looked_at=None) | (Q(looked_at__lt=Now() - PAUSE) & Exists(news))
    return Fit.objects.filter(is_due, ~Exists(open_run), is_kept_current=True, deleted_at=None).order_by("id")


def _kept(fit_id: int) -> bool:
    """Whether it was revised. What is wrong with one fit, of whatever kind, is for its notice."""
    try:
        return _look(fit_id)
    except (OperationalError, InterfaceError):
        raise
    except Invalid as error:
        _note(fit_id, str(error))
    except Exception as error:
        logger.exception("Fit %s can't be kept current", fit_id)
        _note(fit_id, f"It can't be looked up: {type(error).__name__}: {error}"[:1000])
    return False


@transaction.atomic
def _look(fit_id: int) -> bool:
    """Does nothing while somebody else looks. Raises Invalid."""
    held = due().select_for_update(skip_locked=True, of=("self",)).select_related("project", "created_by")
    fit = held.filter(pk=fit_id).first()
    if fit is None:
        return False
    found = lookup.looked_up(parsed_spec(fit.spec), fit.project)
    last = Revision.objects.filter(fit=fit).order_by("-number").first()
    if last is not None and last.points_hash == hash_of(*lookup.sources(found)):
        _note(fit.pk, "")
        return False
    revise_on(fit, found, None)
    return True


def _note(fit_id: int, notice: str) -> None:
    """It was looked at just now."""
    Fit.objects.filter(pk=fit_id).update(looked_at=Now(), notice=notice)
