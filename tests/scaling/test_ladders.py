"""A ladder from its creation to its end: runs, tags, hold-out, the fit through it, cancelling and deleting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs import scene
from tests.scaling import ladders
from webapp.accounts.errors import Invalid
from webapp.runs.models import Run
from webapp.scaling import actions, ladder_queries
from webapp.scaling.models import Fit, Ladder, Rung

pytestmark = pytest.mark.django_db


def test_a_ladder_queues_all_its_runs_the_cheapest_first_with_tags_that_name_their_rung() -> None:
    ladder = ladders.create(name="to 1e13", tags=["tiny"])
    rungs = list(ladder.rungs.select_related("run"))
    assert [rung.number for rung in rungs] == list(range(1, 13))
    assert [rung.plan["C"] for rung in rungs] == sorted(rung.plan["C"] for rung in rungs)
    for rung in rungs:
        assert rung.run is not None and rung.run.status == "queued" and rung.run.kind == "pretrain"
        assert set(rung.run.tags) == {"tiny", f"ladder-{ladder.pk}", f"rung-{rung.number}"}
        spec, plan = rung.run.spec, rung.plan
        assert (spec["steps"], spec["batch_size"], spec["optimizer"]["lr"]) == (
            plan["steps"], plan["batch_size"], plan["lr"],
        )  # fmt: skip
        assert (spec["model"]["layers"], spec["model"]["width"]) == (plan["layers"], plan["width"])
    assert [rung.is_held_out for rung in rungs] == [False] * 11 + [True]
    queued = list(Run.objects.filter(status="queued").order_by("place__position").values_list("pk", flat=True))
    assert queued == [rung.run_id for rung in rungs]


def test_a_ladder_has_a_fit_that_waits_for_points() -> None:
    ladder = ladders.create(name="to 1e13")
    assert ladder.fit is not None and ladder.fit.is_kept_current and ladder.fit.notice
    assert not ladder.fit.revisions.exists()
    spec = ladder.fit.spec
    assert spec["law"]["name"] == "chinchilla" and spec["frontier"] == [1e13]
    assert spec["points"]["query"] == f"tags = 'ladder-{ladder.pk}' and kind = 'pretrain'"
    plan = ladder.rungs.get(number=12).plan
    assert spec["holdout"]["where"] == (
        f"(N == {plan['N']} and steps == {plan['steps']} and batch_size == {plan['batch_size']})"
    )


def test_what_is_wrong_leaves_nothing_behind() -> None:
    for changes, field in (
        ({"target_flops": -1}, ["target_flops"]),
        ({"base": {**ladders.BASE, "sequence_length": 1}}, ["base", "sequence_length"]),
        ({"queue": "no queue!"}, ["queue"]),
        ({"tags": ["x" * 61]}, ["tags"]),
        ({"law": {"name": "kaplan", "form": "steps"}}, ["law"]),
    ):
        with pytest.raises(Invalid) as caught:
            ladders.create(**changes)  # type: ignore[arg-type]
        assert caught.value.errors[0]["loc"][: len(field)] == field, caught.value.errors
    assert not (Ladder.objects.exists() or Rung.objects.exists() or Run.objects.exists() or Fit.objects.exists())


def test_the_fit_is_made_as_soon_as_enough_rungs_have_ended_and_foresees_those_held_out(tmp_path: Path) -> None:
    ladder = ladders.create(target_flops=1e13)
    rungs = list(ladder.rungs.select_related("run"))
    for rung in rungs[:6]:
        ladders.train(rung)
    Fit.objects.update(looked_at=None)
    assert actions.keep_current() == 0
    for rung in rungs[6:9]:
        ladders.train(rung)
    first = ladders.fit(ladder, tmp_path)
    assert first.result is not None
    assert first.result["points"]["used"] == 9 and first.result["holdout"] is None
    standing = ladder_queries.standing(ladder)
    held_out = standing.rows[-1]
    assert held_out.loss is None and held_out.foreseen is not None and held_out.foreseen.inside is None
    ladders.train_all(ladder)
    second = ladders.fit(ladder, tmp_path)
    assert second.result is not None
    assert second.result["points"]["used"] == 11
    (judged,) = second.result["holdout"]["points"]
    assert judged["run"] == rungs[-1].run_id
    standing = ladder_queries.standing(ladder)
    held_out = standing.rows[-1]
    assert held_out.loss == pytest.approx(judged["measured"])
    assert held_out.foreseen is not None and held_out.foreseen.loss == pytest.approx(judged["predicted"])
    assert held_out.foreseen.inside == judged["inside"]
    assert (held_out.foreseen.low, held_out.foreseen.high) == pytest.approx(tuple(judged["interval"]), rel=1e-6)
    assert standing.spent == standing.asked == pytest.approx(sum(rung.plan["C"] for rung in rungs))
    assert standing.counts == {"succeeded": 12}
    assert all(row.foreseen is None for row in standing.rows[:-1])


def test_points_of_the_fit_are_the_rungs_as_they_were_proposed(tmp_path: Path) -> None:
    ladder = ladders.create()
    ladders.train_all(ladder)
    run = ladders.fit(ladder, tmp_path)
    assert run.result is not None
    columns, runs = run.result["points"]["columns"], run.result["points"]["runs"]
    plans = {rung.run_id: rung.plan for rung in ladder.rungs.all()}
    for size, tokens, compute, pk in zip(columns["N"], columns["D"], columns["C"], runs, strict=True):
        assert (size, tokens, compute) == (plans[pk]["N"], plans[pk]["D"], plans[pk]["C"])


def test_a_further_rung_follows_the_others_and_has_their_tags_and_queue() -> None:
    ladder = ladders.create(tags=["tiny"], seeds=2)
    plan = ladder.rungs.get(number=1).plan
    rung = actions.add_rung(ladder, scene.person(), parameters=plan["N"], tokens=plan["D"])
    assert rung.number == 25 and rung.run is not None and not rung.is_held_out
    assert set(rung.run.tags) == {"tiny", f"ladder-{ladder.pk}", "rung-25"}
    assert (rung.plan["N"], rung.plan["D"], rung.plan["seed"]) == (plan["N"], plan["D"], 2)
    with pytest.raises(Invalid) as caught:
        actions.add_rung(ladder, scene.person(), parameters=10, tokens=1e6)
    assert caught.value.errors[0]["loc"] == ["at"]


def test_cancelling_ends_what_is_not_over_and_nothing_else() -> None:
    ladder = ladders.create()
    other = scene.submit()
    ladders.train(ladder.rungs.get(number=1))
    assert actions.cancel_ladder(ladder) == 11
    assert ladder_queries.standing(ladder).counts == {"succeeded": 1, "cancelled": 11}
    other.refresh_from_db()
    assert other.status == "queued"
    assert actions.cancel_ladder(ladder) == 0


def test_a_deleted_ladder_is_gone_while_its_runs_and_its_fit_stay_as_they_are() -> None:
    ladder = ladders.create()
    ladders.train(ladder.rungs.get(number=1))
    actions.delete_ladder(ladder)
    ladder.refresh_from_db()
    assert not ladder_queries.ladders_of(ladder.project).exists()
    assert Run.objects.filter(deleted_at=None, status="cancelled").count() == 11
    fit = Fit.objects.get(pk=ladder.fit_id)
    assert fit.deleted_at is None and not fit.is_kept_current
    actions.delete_ladder(ladder)
    with pytest.raises(Invalid):
        actions.add_rung(ladder, scene.person(), parameters=1e4, tokens=1e6)


def test_deleting_a_ladder_whose_fit_is_gone_is_no_error() -> None:
    ladder = ladders.create()
    assert ladder.fit is not None
    actions.delete_fit(ladder.fit)
    ladder.refresh_from_db()
    assert ladder_queries.standing(ladder).latest is None
    actions.delete_ladder(ladder)
    assert not ladder_queries.ladders_of(ladder.project).exists()
