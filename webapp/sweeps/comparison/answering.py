"""From an address to its comparison: what the page, the exports and the API all tell."""

from __future__ import annotations

from typing import NamedTuple

from webapp.accounts.models import Project, User
from webapp.sweeps.comparison.address import Address
from webapp.sweeps.comparison.choosing import MOST, Chosen, choose, load, usual_metric
from webapp.sweeps.comparison.comparing import compared
from webapp.sweeps.comparison.results import Comparison
from webapp.sweeps.models import Sweep

FEW = 12


class Answer(NamedTuple):
    chosen: Chosen
    comparison: Comparison


def answer(user: User, address: Address, project: Project | None = None, sweep: Sweep | None = None) -> Answer:
    """`project` and `sweep` are those that the address names, and theirs to see. Raises Invalid."""
    chosen = choose(user, address.choice, project, sweep)
    metric = address.metric or usual_metric(chosen.metrics)
    loaded = load(user, chosen.runs, metric)
    found = compared(loaded.rows, address.question(metric, loaded.own_baselines), loaded.bases)
    cautions = [*_about(chosen, metric), *found.cautions]
    return Answer(chosen, found.model_copy(update={"cautions": cautions}))


def _about(chosen: Chosen, metric: str) -> list[str]:
    """What was asked for and is not here."""
    told = []
    if chosen.found > MOST:
        told.append(f"{chosen.found:,} runs are like this, and at most {MOST:,} are compared: these are the newest.")
    if chosen.missing:
        numbers = ", ".join(map(str, chosen.missing[:FEW])) + (" and more" if len(chosen.missing) > FEW else "")
        told.append(f"Not there, or not yours to see: run {numbers}.")
    if chosen.runs and metric not in chosen.metrics:
        known = ", ".join(list(chosen.metrics)[:FEW]) or "none at all"
        told.append(f"No compared run has logged {metric!r}; they have {known}.")
    return told
