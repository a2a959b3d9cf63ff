"""The runs table of somebody who chose no columns: those that the project's runs can fill."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import reverse

from tests.pages.team import Team
from tests.pages.test_run_table import measure, submit
from webapp.runs import actions
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


def heads(team: Team) -> list[str]:
    text = team.client("viewer").get(reverse("runs", args=[team.project.slug])).content.decode()
    labels = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', text, re.DOTALL)
    return [words for label in labels if (words := " ".join(re.sub(r"<[^>]+>", " ", label).split()))]


def outside(team: Team, **spec: Any) -> Run:
    return actions.create_external(project=team.project, user=team.people["editor"], name="x", spec=spec)


def test_jobs_have_columns_for_what_a_worker_tells(team: Team) -> None:
    measure(submit(team, "run"), "eval/loss", 1.0)
    assert heads(team) == [
        "Run", "State", "Progress", "Method", "Trainable", "eval/loss", "Peak memory", "tokens/s", "Time", "Tags",
    ]  # fmt: skip


def test_programs_outside_have_their_metrics_and_no_empty_columns(team: Team) -> None:
    run = outside(team, lr=1e-3)
    for name in ("a/first", "grad_norm", "val/acc@5", "train/Loss", "lossless/bytes"):
        measure(run, name, 1.0)
    assert heads(team) == ["Run", "State", "train/Loss", "val/acc@5", "a/first", "Time", "Tags"]


def test_a_method_that_a_program_outside_names_has_a_column(team: Team) -> None:
    outside(team, method={"name": "lora"})
    assert "Method" in heads(team)


def test_a_file_has_the_columns_of_the_table(team: Team) -> None:
    measure(outside(team, lr=1e-3), "train/loss", 0.5)
    answer = team.client("viewer").get(reverse("run-export", args=[team.project.slug]))
    assert b"".join(answer.streaming_content).splitlines()[0] == b"id,name,status,train/loss,time,tags"
