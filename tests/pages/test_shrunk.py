"""What a run page tells of a model that was made smaller."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from tests.pages.team import Team
from tests.pages.test_markup import check
from tests.pages.test_run_page import html, measure, text
from tests.runs import scene
from webapp.pages.runs.shrunk import shrunk_of
from webapp.runs import actions
from webapp.runs.models import Attempt, Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db

RESULT: dict[str, Any] = {
    "quality": {"dense": {"eval/loss": 2.0, "eval/perplexity": 7.389}, "pruned": {"eval/loss": 3.0},
                "recovered": {"eval/loss": 2.1, "eval/perplexity": "Infinity"}},
    "sparsity": {"target": 0.5, "measured": 0.52, "whole": 0.41, "pattern": "unstructured",
                 "layers": {"model.layers.0.self_attn.q_proj": 0.25, "model.layers.1.self_attn.q_proj": 0.75}},
    "bytes": {"dense": 2**21, "stored": 2**20}, "bits_per_parameter": 16.0,
    "parameters": {"total": 1000, "nonzero": 590, "dense": 1000, "trainable": 0},
    "flops": {"dense": 2e6, "stored": 2e6, "formula": "2ND"},
    "latency": {"dense_s": 0.004, "stored_s": 0.002, "samples": 1, "tokens": 16, "device": "cpu"},
    "memory": {"peak_bytes": 2**30}, "wall_time_s": 1.0, "model": "model", "masks": "masks.safetensors", "drop": None,
}  # fmt: skip


@pytest.fixture
def attempt(team: Team) -> Attempt:
    return scene.running(where=team.project, user=team.people["editor"])


def ended(attempt: Attempt, **changes: Any) -> Run:
    actions.finish(attempt, Status.SUCCEEDED, result=RESULT | changes)
    return Run.objects.get(pk=attempt.run_id)


def test_quality_stands_dense_pruned_and_recovered_with_what_it_lost(team: Team, attempt: Attempt) -> None:
    run = ended(attempt)
    page = text(html(team, run))
    assert "Metric Dense Made smaller Retrained eval/loss 2 3 +50.0 % 2.1 +5.0 %" in page
    assert "eval/perplexity 7.389 – Infinity" in page  # noqa: RUF001
    check("run", team.client("viewer").get(reverse("run", args=[team.project.slug, run.pk])))


def test_its_size_stands_against_that_of_dense(team: Team, attempt: Attempt) -> None:
    page = text(html(team, ended(attempt)))
    for words in (
        "Sparsity 52 % unstructured · asked 50 % · 41 % of the whole model",
        "Stored 1.0 MiB 0.5x of 2.0 MiB · 16 bits per parameter",
        "Parameters left 590 0.59x of 1k",
        "FLOPs a sample 2 M 1x of 2 M · on dense kernels",
        "Latency 2 ms 0.5x of 4 ms · on cpu",
        "model.layers.0.self_attn.q_proj 25 %",
    ):
        assert words in page


def test_what_does_not_apply_is_left_out(team: Team, attempt: Attempt) -> None:
    quality = {**RESULT["quality"], "recovered": None}
    run = ended(attempt, sparsity=None, quality=quality, latency=None)
    found = shrunk_of(run)
    assert found is not None and found.heads == ["Dense", "Made smaller"] and found.layers == []
    assert {fact.label for fact in found.facts}.isdisjoint({"Sparsity", "Latency"})
    assert "Sparsity by layer" not in html(team, run)


@pytest.mark.parametrize("result", [None, {}, {"quality": {"eval/loss": 2.0}}, {"quality": None}, {"quality": "odd"}])
def test_other_runs_have_no_such_block(team: Team, attempt: Attempt, result: Any) -> None:
    Run.objects.filter(pk=attempt.run_id).update(result=result)
    run = Run.objects.get(pk=attempt.run_id)
    assert shrunk_of(run) is None
    assert "Made smaller" not in html(team, run)


def test_layers_are_bars_by_block_in_the_order_of_their_numbers(team: Team, attempt: Attempt) -> None:
    layers = {f"model.layers.{block}.mlp.up_proj": 0.5 for block in (10, 2, 0)} | {"lm_head": 0.1}
    run = ended(attempt, sparsity={**RESULT["sparsity"], "layers": layers})
    address = reverse("run-figure", args=[team.project.slug, run.pk, "layers"])
    up, head = team.client("viewer").get(address).json()["data"]
    assert (up["name"], up["x"], up["y"]) == ("mlp.up_proj", ["0", "2", "10"], [0.5] * 3)
    assert (head["name"], head["x"], head["y"]) == ("lm_head", ["other"], [0.1])


def test_the_strip_on_top_tells_quality_against_dense(team: Team, attempt: Attempt) -> None:
    measure(attempt.run, "dense/eval/loss", 2.0)
    measure(attempt.run, "eval/loss", 2.5)
    assert "eval/loss 2.5 +0.5 · +25.0 % of dense" in text(html(team, attempt.run))
