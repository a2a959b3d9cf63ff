"""The top of a fit's page: its state, what needs attention, and whether it must be asked again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from webapp.pages.runs.notes import DEFAULTS, TITLES, Note
from webapp.pages.scaling.result import fitted_of
from webapp.runs.states import FINAL, Status
from webapp.scaling import queries
from webapp.scaling.models import Fit, Revision


class Head(NamedTuple):
    """`news` changes when there is something new to tell; `shown` when charts and tables are of another revision."""

    status: str
    is_live: bool
    notes: list[Note]
    news: str
    shown: str


def head_of(fit: Fit, shown: Revision | None, pending: Revision | None) -> Head:
    last = queries.revisions(fit).first()
    status = last.run.status if last else ""
    return Head(
        status=status,
        is_live=pending is not None and pending.run.status not in FINAL,
        notes=[*_notes(fit, shown, last), *_doubts(shown)],
        news=f"{status} {last.number if last else 0}",
        shown=str(shown.number) if shown else f"none, {status}",
    )


def _notes(fit: Fit, shown: Revision | None, last: Revision | None) -> Iterator[Note]:
    if last is None:
        yield Note("No revision", "Nothing was fitted yet: revise it.", "still")
    elif last.run.status in TITLES:
        title, tone = TITLES[Status(last.run.status)]
        said = last.run.error_message or DEFAULTS[Status(last.run.status)]
        rest = f" Revision {shown.number} is shown." if shown and shown.pk != last.pk else ""
        yield Note(f"Revision {last.number}: {title.lower()}", f"{said}{rest}", tone)
    elif last.run.status == Status.CANCELLED:
        yield Note(f"Revision {last.number}", "It was cancelled: revise the fit to make another.", "still")
    elif last.run.status not in FINAL and shown is None:
        yield Note("On its way", "Its numbers and charts stand here as soon as a worker has fitted it.", "busy")
    if last and shown and last.number > shown.number and last.run.status == Status.SUCCEEDED:
        yield Note("Older revision", f"This is revision {shown.number}; the latest is {last.number}.", "still")
    if fit.is_kept_current and fit.notice:
        yield Note("Not kept current", fit.notice)


def _doubts(shown: Revision | None) -> list[Note]:
    fitted = fitted_of(shown.run) if shown else None
    return fitted.notes if fitted else []
