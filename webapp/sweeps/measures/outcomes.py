"""What became of the trials that an analysis has seen, so that nothing which is missing goes unsaid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from webapp.sweeps.states import OPEN, TrialStatus

if TYPE_CHECKING:
    from webapp.sweeps.measures.reading import Labels
    from webapp.sweeps.rows import Row


class Outcomes(BaseModel):
    """Trials by how they stand. Every trial is counted once."""

    model_config = ConfigDict(frozen=True)

    trials: int = 0
    succeeded: int = 0
    censored: int = Field(0, description="Stopped early: their final value is not known.")
    diverged: int = 0
    out_of_memory: int = 0
    failed: int = 0
    cancelled: int = 0
    open: int = Field(0, description="Queued or training.")

    @property
    def over(self) -> int:
        return self.trials - self.open


def outcomes(rows: Iterable[Row]) -> Outcomes:
    """A trial is in no more than one state, whatever its runs are in."""
    statuses = {(row.sweep, row.trial): row.trial_status for row in rows}
    counts = Counter("open" if status in OPEN else status for status in statuses.values())
    counts["censored"] = counts.pop(TrialStatus.STOPPED.value, 0)
    return Outcomes(trials=len(statuses), **{name: counts[name] for name in Outcomes.model_fields if name != "trials"})


class Result(BaseModel):
    """What every protocol's analysis says. Each list of objects is a table; None is what could not be measured."""

    model_config = ConfigDict(frozen=True)

    outcomes: Outcomes = Outcomes()
    notes: list[str] = Field([], description="What to know before reading the numbers, in sentences.")


class LeftOut(BaseModel):
    """A method that a study was not started with, and why."""

    method: str
    reason: str


def left_out(labels: Labels) -> list[LeftOut]:
    """What the labels of a study's sweeps say of it, by name."""
    told = {name: str(reason) for each in labels.values() for name, reason in (each.get("left_out") or {}).items()}
    return [LeftOut(method=name, reason=reason) for name, reason in sorted(told.items())]


def told(seen: Outcomes) -> list[str]:
    """The notes that every analysis begins with."""
    if not seen.trials:
        return ["There are no trials yet, so there is nothing to analyse."]
    notes = []
    if seen.open:
        notes.append(f"{seen.open} of {seen.trials} trials are not over: the numbers will change.")
    lost = {name.replace("_", " "): getattr(seen, name) for name in ("censored", "diverged", "out_of_memory", "failed")}
    if any(lost.values()):
        words = ", ".join(f"{count} {name}" for name, count in lost.items() if count)
        notes.append(f"Without a final value: {words}.")
    return notes
