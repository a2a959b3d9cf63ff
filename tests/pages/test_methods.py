from __future__ import annotations

from typing import Annotated, Literal

import pytest
from django.urls import reverse
from pydantic import BaseModel, Field

from gpu_jobs import registry
from tests.pages.team import Team
from tests.runs import scene
from webapp.pages.runs import describe
from webapp.pages.views.methods import knobs

pytestmark = pytest.mark.django_db


class Sample(BaseModel):
    """One knob of each sort."""

    name: Literal["sample"]
    rank: int = Field(8, ge=1, le=64, description="Inner width.", json_schema_extra={"log": True})
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Literal["attention", "mlp"] | list[str] = "attention"
    limit: float | None = None
    fused: bool = Field(True, json_schema_extra={"advanced": True})
    steps: int


def test_knobs_are_written_as_people_would() -> None:
    rows = {knob.name: knob for knob in knobs(Sample.model_json_schema())}
    assert "name" not in rows
    assert rows["rank"] == ("rank", "integer", "8", "≥ 1, ≤ 64 · log scale", "Inner width.", False)
    assert (rows["dropout"].default, rows["dropout"].bounds) == ("0", "≥ 0, < 1")
    assert rows["targets"].type == "attention | mlp | list of string"
    assert (rows["limit"].type, rows["limit"].default) == ("number | none", "none")
    assert (rows["fused"].default, rows["fused"].advanced) == ("yes", True)
    assert rows["steps"].default == "required"


def test_every_registered_method_has_a_line_and_a_page(team: Team) -> None:
    client = team.client("viewer")
    listed = client.get(reverse("methods")).content.decode()
    for family in registry.families():
        for name, method in registry.methods(family).items():
            address = reverse("method", args=[family, name])
            assert address in listed
            page = client.get(address).content.decode()
            assert method.paper is None or method.paper in page
            assert all(knob in page for knob in method.knobs.model_fields if knob != "name")


@pytest.mark.parametrize(("family", "name"), [("adapters", "nope"), ("nope", "lora"), ("..", "lora")])
def test_an_unknown_method_is_a_404(team: Team, family: str, name: str) -> None:
    assert team.client("viewer").get(f"/methods/{family}/{name}/").status_code == 404


def test_a_methods_page_lists_the_runs_that_use_it_and_that_one_may_see(team: Team) -> None:
    cosine = {"schedule": {"name": "cosine", "warmup_steps": 2}}
    scene.submit(team.project, user=team.people["owner"], name="with cosine", changes=cosine)
    scene.submit(team.project, user=team.people["owner"], name="without", changes={"schedule": {"name": "constant"}})
    address = reverse("method", args=["schedules", "cosine"])
    seen = team.client("viewer").get(address).content.decode()
    assert "with cosine" in seen
    assert "without" not in seen
    assert "with cosine" not in team.client("stranger").get(address).content.decode()


def test_an_architecture_s_page_lists_the_runs_that_train_one_of_it(team: Team) -> None:
    model = {"source": "library", "architecture": {"name": "kat", "width": 32, "heads": 2}}
    scene.submit(team.project, user=team.people["owner"], name="run-of-kat", changes={"model": model})
    scene.submit(team.project, user=team.people["owner"], name="run-of-another")
    seen = team.client("viewer").get(reverse("method", args=["architectures", "kat"])).content.decode()
    assert "run-of-kat" in seen
    assert "run-of-another" not in seen
    assert (
        "rational" not in team.client("viewer").get(reverse("method", args=["architectures", "mor"])).content.decode()
    )


def test_a_run_is_described_by_its_architecture(team: Team) -> None:
    model = {"source": "library", "architecture": {"name": "kat", "width": 32, "heads": 2}}
    run = scene.submit(team.project, user=team.people["owner"], changes={"model": model})
    assert describe.model_of(run) == "kat"
