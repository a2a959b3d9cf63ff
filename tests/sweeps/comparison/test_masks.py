"""Masks held against each other: shares counted by hand, chance as it is, and files that are no masks refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.runs import scene as runs
from tests.sweeps.comparison import masks as scene
from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, User
from webapp.runs import actions, blobs
from webapp.runs.models import Attempt, Run
from webapp.sweeps.comparison import masks

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return runs.person()


@pytest.fixture
def project(user: User) -> Project:
    return runs.project("Alpha", user)


def made(project: Project, user: User, *found: dict[str, object]) -> list[Run]:
    return [scene.pruned(project, user, one) for one in found]  # type: ignore[arg-type]


def test_two_halves_that_share_two_weights_overlap_by_a_quarter(project: Project, user: User) -> None:
    """2 of the 8 weights that either kept; by chance 1/3."""
    one, other = scene.HALVES
    found = masks.overlap(made(project, user, {"a": one}, {"a": other}))
    (pair,) = found.pairs
    assert (pair.overlap, pair.chance, pair.weights) == (0.25, pytest.approx(1 / 3), 10)
    assert [(layer.name, layer.overlap) for layer in pair.layers] == [("a", 0.25)]
    assert [(kept.weights, kept.share) for kept in found.runs] == [(10, 0.5), (10, 0.5)]


def test_the_whole_counts_weights_and_not_layers(project: Project, user: User) -> None:
    """1 of 1 and 0 of 20: one of 21 weights that either kept."""
    large = np.arange(20).reshape(4, 5) < 10
    found = masks.overlap(made(project, user, {"a": [[1, 0]], "b": large}, {"a": [[1, 0]], "b": ~large}))
    assert found.pairs[0].overlap == pytest.approx(1 / 21)
    assert {layer.name: layer.overlap for layer in found.pairs[0].layers} == {"a": 1.0, "b": 0.0}


def test_random_masks_overlap_by_chance(project: Project, user: User) -> None:
    """Of 40,000 weights the standard error of the overlap is .003 or less."""
    rng = np.random.default_rng(0)
    found = masks.overlap(made(project, user, {"a": rng.random((200, 200)) < 0.3}, {"a": rng.random((200, 200)) < 0.6}))
    assert found.pairs[0].chance == pytest.approx(0.18 / 0.72, abs=0.01)
    assert found.pairs[0].overlap == pytest.approx(found.pairs[0].chance, abs=0.012)


def test_only_layers_of_one_name_and_shape_count(project: Project, user: User) -> None:
    one, other, third = made(project, user, {"a": [[1, 0]], "b": [[1, 1]]}, {"a": [[1, 0]], "b": [[1], [1]]},
                             {"c": [[1, 0]]})  # fmt: skip
    found = {(pair.one, pair.other): pair for pair in masks.overlap([one, other, third]).pairs}
    assert [layer.name for layer in found[one.pk, other.pk].layers] == ["a"]
    assert found[one.pk, third.pk].overlap is None and found[one.pk, third.pk].chance is None


def test_every_pair_of_many_runs_is_there_once(project: Project, user: User) -> None:
    four = made(project, user, *({"a": [[1, 0]]} for _ in range(4)))
    pairs = [(pair.one, pair.other) for pair in masks.overlap(four).pairs]
    assert len(pairs) == len(set(pairs)) == 6


def test_too_few_and_too_many_runs_are_refused(project: Project, user: User) -> None:
    one = made(project, user, {"a": [[1, 0]]})
    with pytest.raises(Invalid, match="two to 12 different runs, not 1"):
        masks.overlap(one)
    with pytest.raises(Invalid, match="not 13"):
        masks.overlap(one * 13)


def test_a_run_without_masks_is_named(project: Project, user: User) -> None:
    one = made(project, user, {"a": [[1, 0]]})[0]
    bare = runs.submit(project, user=user)
    with pytest.raises(Invalid, match=f"Run {bare.pk} has no masks.safetensors"):
        masks.overlap([one, bare])
    assert masks.has_masks([bare, one]) == [one]


def test_files_that_are_too_large_together_are_not_read(
    project: Project, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masks, "MOST_BYTES", 100)
    with pytest.raises(Invalid, match="at most 100 are compared: name fewer runs"):
        masks.overlap(made(project, user, {"a": [[1, 0]]}, {"a": [[1, 0]]}))


@pytest.mark.parametrize(
    ("content", "words"), [(b"no tensors at all", "can't be read"), (None, "holds no mask of 4,4 for a")]
)
def test_what_is_no_file_of_masks_is_refused(
    project: Project, user: User, tmp_path: Path, content: bytes | None, words: str
) -> None:
    from safetensors.numpy import save_file

    file = tmp_path / "masks"
    if content is None:
        save_file({"a": np.zeros(1, np.uint8)}, file, {"a": "4,4"})
    else:
        file.write_bytes(content)
    good = made(project, user, {"a": np.ones((4, 4))})[0]
    attempt: Attempt = runs.running(where=project, user=user)
    actions.add_artifacts(attempt, [actions.NewArtifact(masks.FILE, blobs.store(file), "file")])
    with pytest.raises(Invalid, match=f"run {attempt.run_id} .*{words}"):
        masks.overlap([good, attempt.run])
