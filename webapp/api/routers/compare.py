"""Runs side by side, as on the compare page."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest
from ninja import Query, Router

from webapp.accounts.errors import Invalid
from webapp.api.access import project_or_404, run_or_404, sweep_or_404
from webapp.api.auth import user_of
from webapp.api.schemas.comparison import ComparisonOutput, DiffOutput
from webapp.sweeps.comparison.address import Address, Which
from webapp.sweeps.comparison.answering import answer
from webapp.sweeps.comparison.choosing import choose
from webapp.sweeps.comparison.diff import diff, side_by_side
from webapp.sweeps.comparison.masks import MOST_RUNS, Overlap, overlap

router = Router()
MOST_NAMES = 500
Names = Annotated[list[str], Query(description="Repeat it for several; the first 500 when left out.")]


@router.get("", response=ComparisonOutput)
def compare_runs(request: HttpRequest, address: Query[Address]) -> ComparisonOutput:
    """Groups of runs that differ in their seed alone, each held against a baseline, with intervals over the seeds.

    The runs are those of `runs`, of a query, or of a sweep; all that is given must hold, and without any of them there
    is nothing to compare. The baseline is the group of the run that `baseline` names, else full fine-tuning, else
    what the runs name as theirs, else the best. Null is what could not be measured or estimated.
    """
    user = user_of(request)
    project = project_or_404(user, address.project) if address.project else None
    sweep = sweep_or_404(user, address.sweep) if address.sweep is not None else None
    chosen, comparison = answer(user, address, project, sweep)
    return ComparisonOutput(
        found=chosen.found,
        compared=len(chosen.runs),
        missing=chosen.missing,
        metrics=chosen.metrics,
        comparison=comparison,
    )


@router.get("/diff", response=DiffOutput)
def compare_settings(request: HttpRequest, address: Query[Which], metric: Names = []) -> DiffOutput:  # noqa: B006
    """Up to 50 runs side by side: every setting of their specs, and last, min, max and mean of what they measured.

    Settings are dotted paths, lists are compared as a whole. The runs come in the order in which they are named, else
    oldest first; differences are to the run that `baseline` names, else to the first.
    """
    user = user_of(request)
    project = project_or_404(user, address.project) if address.project else None
    sweep = sweep_or_404(user, address.sweep) if address.sweep is not None else None
    chosen = choose(user, address.choice, project, sweep)
    told = diff(side_by_side(chosen.runs, address.choice.runs), address.baseline, names=metric, limit=MOST_NAMES)
    return DiffOutput.of(told, chosen.found, chosen.missing)


@router.get("/masks", response=Overlap)
def compare_masks(request: HttpRequest, run: Annotated[list[int], Query(...)]) -> Overlap:
    """Which weights these runs have both kept: `?run=1&run=2`, two to twelve of kind prune.

    The overlap of two masks is |kept by both| / |kept by either|, whole and per layer, over the layers that both have
    pruned in one shape; `chance` is what two masks would share that know nothing of each other.
    """
    user, numbers = user_of(request), list(dict.fromkeys(run))
    if len(numbers) > MOST_RUNS:
        raise Invalid.field("run", f"Name two to {MOST_RUNS} different runs, not {len(numbers)}.")
    return overlap([run_or_404(user, number) for number in numbers])
