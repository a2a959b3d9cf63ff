"""What a run page tells of a merge: tasks by models, over all merges of the same experts."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from tests.pages.team import ROLES, Team
from tests.pages.test_markup import check
from tests.pages.test_run_page import html, text
from tests.runs import scene
from webapp.charts import merges
from webapp.pages.runs.merged import merged_of
from webapp.runs.models import Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db

DELTA = {"mean": 0.001, "variance": 0.0004, "min": -0.5, "max": 0.25, "norm": 3.0, "share_beyond_0.005": 0.4}


def result(merged: dict[str, float], **changes: Any) -> dict[str, Any]:
    """Two experts, each at home on a task of its own, and a third task that is nobody's."""
    experts = {"en": {"english": 1.0, "code": 4.0, "new": 3.0}, "py": {"english": 2.0, "code": 2.0, "new": 3.0}}
    return {
        "tasks": ["english", "code", "new"],
        "experts": [{"name": "en", "run": 1, "task": 0}, {"name": "py", "run": 2, "task": 1}],
        "scores": {"metric": "eval/loss", "base": {"english": 2.0, "code": 4.0, "new": 3.0}, "experts": experts,
                   "merged": merged},
        "deltas": [DELTA | {"expert": "en"}, DELTA | {"expert": "py"}],
        "conflicts": {"share": 0.25, "layers": {"a": 0.1, "b": 0.3}},
        "coefficients": {"chosen": {"scale": 0.4}, "search": [{"coefficients": {"scale": 0.4}, "value": 1.0}]},
    } | changes  # fmt: skip


def merge(team: Team, method: str, merged: dict[str, float], base: int = 1, **changes: Any) -> Run:
    """A merge that has ended well."""
    run = scene.submit(team.project, user=team.people["editor"])
    spec = {"kind": "merge", "base": {"source": "run", "run": base}, "method": {"name": method},
            "experts": [{"model": {"source": "run", "run": number}} for number in (1, 2)]}  # fmt: skip
    Run.objects.filter(pk=run.pk).update(
        kind="merge", spec=spec, status=Status.SUCCEEDED, result=result(merged, **changes)
    )
    return Run.objects.get(pk=run.pk)


@pytest.fixture
def runs(team: Team) -> list[Run]:
    return [
        merge(team, "average", {"english": 2.0, "code": 2.5, "new": 3.0}),
        merge(team, "ties", {"english": 1.25, "code": 2.0, "new": 2.0}),
        merge(team, "ties", {"english": 1.0, "code": 1.0, "new": 1.0}, base=9),
    ]


def test_every_merge_of_the_same_experts_is_a_row_and_the_best_is_first(runs: list[Run]) -> None:
    heat = merges.data(runs[0])
    assert heat.tasks == ["english", "code", "new"]
    assert heat.models == ["base", "expert en", "expert py", f"ties ({runs[1].pk})", f"average ({runs[0].pk})"]
    assert heat.kept[0] == [1 / 2, 2 / 4, None]
    assert heat.kept[3] == [1 / 1.25, 1.0, None] and heat.kept[4] == [1 / 2, 2 / 2.5, None]
    assert heat.scores[3] == [1.25, 2.0, 2.0]


def test_of_accuracy_more_is_nearer(team: Team, runs: list[Run]) -> None:
    told = result({"english": 0.5, "code": 1.0, "new": 1.0})
    scores = told["scores"] | {"metric": "eval/accuracy"}
    run = merge(team, "pcb", {"english": 0.5, "code": 1.0, "new": 1.0}, base=5, scores=scores)
    assert merges.data(run).kept[-1] == [0.5, 0.5, None]


def test_the_page_says_scores_changes_conflicts_and_what_was_kept(team: Team, runs: list[Run]) -> None:
    page = text(html(team, runs[1]))
    assert f"ties ({runs[1].pk}) 1.25 80 % 2 100 % 2" in page
    assert "en 0.001 0.02 -0.5 to 0.25 3 40 %" in page
    assert "signs disagree on 25 % of all weights" in page
    assert "Kept: scale 0.4, the best of 1 that were tried" in page
    check("run", team.client("viewer").get(reverse("run", args=[team.project.slug, runs[1].pk])))


def test_without_a_task_it_says_how_to_get_one(team: Team) -> None:
    empty = {"metric": "", "base": {}, "experts": {}, "merged": {}}
    run = merge(team, "dare", {}, tasks=[], scores=empty, experts=[{"name": "en", "run": 1, "task": None}])
    assert "No expert names data of its own" in text(html(team, run))
    assert merged_of(run) is not None


@pytest.mark.parametrize("role", ROLES)
def test_the_heat_map_is_shown_to_members_alone(team: Team, runs: list[Run], role: str) -> None:
    answer = team.client(role).get(reverse("run-figure", args=[team.project.slug, runs[0].pk, "merges"]))
    assert answer.status_code == {"anonymous": 302, "stranger": 404}.get(role, 200)
    if answer.status_code == 200:
        assert answer.json()["data"][0]["z"][0] == [0.5, 0.5, None]
