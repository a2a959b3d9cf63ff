"""Ladders as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.urls import reverse

from webapp.api.schemas.ladders import (
    ChoiceOutput,
    ForeseenOutput,
    LadderOutput,
    LadderPlanOutput,
    LadderSummary,
    NextOutput,
    PlannedRung,
    RungOutput,
    TargetOutput,
)
from webapp.runs.states import Status
from webapp.scaling import ladder_queries as queries
from webapp.scaling.ladder_queries import Row
from webapp.scaling.models import Ladder
from webapp.scaling.next_runs import ASSUMES, Suggestions
from webapp.scaling.proposals import Proposal, Proposed


def plan(found: Proposal) -> LadderPlanOutput:
    return LadderPlanOutput(
        runs=len(found.rungs),
        compute=found.compute,
        seconds=found.seconds,
        warnings=found.warnings,
        rungs=[PlannedRung(**_proposed(each)) for each in found.rungs],
    )


def summaries(ladders: Sequence[Ladder]) -> list[LadderSummary]:
    counts = queries.counts_of(ladders)
    return [LadderSummary(**_summary(ladder, counts[ladder.pk])) for ladder in ladders]


def whole(ladder: Ladder) -> LadderOutput:
    found = queries.standing(ladder)
    return LadderOutput(
        **_summary(ladder, found.counts),
        definition=queries.definition(ladder).model_dump(mode="json"),
        compute=found.asked,
        spent=found.spent,
        rungs=[rung(row) for row in found.rows],
    )


def rung(row: Row) -> RungOutput:
    return RungOutput(
        **row.rung.plan,
        number=row.rung.number,
        run=row.run.pk if row.run else None,
        status=Status(row.run.status) if row.run else None,
        is_held_out=row.rung.is_held_out,
        loss=row.loss,
        foreseen=ForeseenOutput(**row.foreseen._asdict()) if row.foreseen else None,
    )


def suggestions(found: Suggestions) -> NextOutput:
    target = found.target
    return NextOutput(
        target=TargetOutput(**target.at, loss=target.loss, low=target.low, high=target.high) if target else None,
        choices=[
            ChoiceOutput(
                **_proposed(each.run), choice=each.number, share=each.share, interval_width=each.width, low=each.low,
                high=each.high, gain_per_flop=each.gain_per_flop,
            )
            for each in found.choices
        ],
        reason=found.reason,
        assumes=ASSUMES,
    )  # fmt: skip


def _proposed(each: Proposed) -> dict[str, Any]:
    told = ("is_held_out", "parameters", "memory_bytes", "flops", "seconds", "repeats")
    return {**each.plan, **{name: getattr(each, name) for name in told}}


def _summary(ladder: Ladder, counts: dict[str, int]) -> dict[str, Any]:
    fit = ladder.fit if ladder.fit is not None and ladder.fit.deleted_at is None else None
    return {
        "id": ladder.pk,
        "project": ladder.project.slug,
        "name": ladder.name,
        "target_flops": ladder.definition["target_flops"],
        "fit": fit.pk if fit else None,
        "runs": counts,
        "created_by": ladder.created_by.username if ladder.created_by else None,
        "created_at": ladder.created_at,
        "url": reverse("api:get_ladder", kwargs={"ladder_id": ladder.pk}),
    }
