"""`hone runs`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.world import World
from tests.hone.conftest import Hone
from tests.runs import scene
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_job_is_submitted_from_a_file_and_shown(hone: Hone, live_world: World, tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(scene.SPEC))
    said = hone("runs", "submit", file, "--project", "alpha", "--name", "from here", "--tag", "a", "--tag", "b",
                "--priority", 3)  # fmt: skip
    assert said.status == 0, said.err
    run = Run.objects.get()
    assert (run.name, run.tags, run.priority, run.status) == ("from here", ["a", "b"], 3, "queued")
    shown = dict(line.split("  ", 1) for line in said.lines)
    assert (shown["run"].strip(), shown["status"].strip()) == (str(run.pk), "queued")
    assert hone("runs", "show", run.pk, "--json").json["id"] == run.pk


def test_yaml_with_plain_exponents_is_read_as_numbers(hone: Hone, live_world: World, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(
        "project: alpha\nspec:\n  kind: pretrain\n  model: {source: builtin, name: nano}\n"
        "  data: {source: builtin, name: language-reference}\n  optimizer: {name: adamw, lr: 1e-3}\n  steps: 20\n"
    )
    said = hone("runs", "submit", file)
    assert said.status == 0, said.err
    assert Run.objects.get().spec["optimizer"]["lr"] == 1e-3


def test_runs_are_listed_in_aligned_columns(hone: Hone, live_world: World) -> None:
    first, second = live_world.run, live_world.cancelled
    said = hone("runs", "list", role="viewer")
    header, *rows = said.lines
    assert [row.split()[0] for row in rows] == [str(second.pk), str(first.pk)]
    for row, status in zip(rows, ("cancelled", "queued"), strict=True):
        assert row.index(status) == header.index("status")
    assert [run["id"] for run in hone("runs", "list", "--status", "queued", "--json").json] == [first.pk]


def test_a_list_is_fetched_page_by_page_up_to_its_limit(
    hone: Hone, live_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hone import client

    monkeypatch.setattr(client, "PAGE", 2)
    made = [scene.submit(live_world.project, user=live_world.owner).pk for _ in range(5)]
    assert [run["id"] for run in hone("runs", "list", "--json").json] == made[::-1]
    assert [run["id"] for run in hone("runs", "list", "--json", "--limit", 3).json] == made[:1:-1]


def test_runs_are_controlled(hone: Hone, live_world: World) -> None:
    run = live_world.run
    for word, status in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("requeue", "queued")):
        said = hone("runs", word, run.pk, "--json")
        assert (said.status, said.json["status"]) == (0, status)
    assert hone("runs", "delete", run.pk).status == 0
    assert "no run" in hone("runs", "show", run.pk).err


def test_what_the_server_refuses_is_one_sentence_and_a_status(hone: Hone, live_world: World) -> None:
    said = hone("runs", "pause", live_world.cancelled.pk)
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("hone: ") and "can be requeued" in said.err and said.err.count("\n") == 1
    said = hone("runs", "cancel", live_world.run.pk, role="viewer")
    assert "role editor" in said.err
    assert hone("runs", "show", 999_999).err == "hone: There is no run 999999.\n"


def test_every_broken_field_is_named_on_a_line(hone: Hone, live_world: World, tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps({**scene.SPEC, "steps": 0, "batch_size": 0}))
    said = hone("runs", "submit", file, "--project", "alpha")
    assert said.status == 1
    assert sorted(line.removeprefix("hone: ").split(":")[0] for line in said.err.splitlines()) == [
        "spec.batch_size", "spec.steps",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b"{", "is not JSON"),
        ("a.json", b"[1]", "must hold an object"),
        ("a.yaml", b"a: [1\nb: 2", "is not YAML in line 2"),
        ("a.json", b"\xff", "no text in UTF-8"),
        ("a.json", None, "can't be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    name: str, content: bytes | None, says: str, hone: Hone, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    said = hone("runs", "submit", tmp_path / name, "--project", "alpha")
    assert said.status == 1
    assert str(tmp_path / name) in said.err and says in said.err
