"""Cloning: the same run again, with changes to its spec."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runs import scene
from webapp.runs import actions
from webapp.runs.errors import Invalid
from webapp.runs.merging import merged
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


def test_a_clone_is_queued_with_the_same_spec_and_knows_where_it_comes_from() -> None:
    base = scene.submit()
    run = scene.submit(name="one", tags=["t"], priority=2, queue="big", baseline=base)
    clone = actions.clone(run, scene.person())
    same = ("project_id", "name", "kind", "spec", "tags", "priority", "queue_id", "baseline_id", "gpus", "steps")
    assert [getattr(clone, field) for field in same] == [getattr(run, field) for field in same]
    assert (clone.status, clone.cloned_from) == (Status.QUEUED, run) and clone.pk != run.pk


def test_changes_are_merged_into_the_spec_and_validated() -> None:
    run = scene.submit()
    clone = actions.clone(run, scene.person(), {"optimizer": {"lr": 0.5}, "steps": 7})
    assert (clone.spec["optimizer"]["lr"], clone.spec["optimizer"]["name"], clone.steps) == (0.5, "adamw", 7)
    with pytest.raises(Invalid, match="greater than or equal to 1"):
        actions.clone(run, scene.person(), {"steps": 0})


def test_another_method_does_not_inherit_the_knobs_of_the_old_one(tmp_path) -> None:
    base = scene.running()
    scene.model(base, tmp_path)
    run = scene.submit(spec=scene.finetune_of(base.run))
    clone = actions.clone(run, scene.person(), {"method": {"name": "full"}})
    assert "rank" in run.spec["method"] and "rank" not in clone.spec["method"]


def test_a_clone_of_a_run_whose_baseline_is_deleted_has_none() -> None:
    base = scene.submit()
    run = scene.submit(baseline=base)
    actions.delete(base)
    run.refresh_from_db()
    assert actions.clone(run, scene.person()).baseline is None


def test_an_external_run_has_no_clone() -> None:
    run = actions.create_external(project=scene.project(), user=None, name="x")
    with pytest.raises(Invalid, match="external"):
        actions.clone(run, scene.person())


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


@given(OBJECTS, OBJECTS)
def test_without_choices_a_merge_is_that_of_rfc_7386(spec, changes) -> None:
    def reference(target, patch):  # the pseudocode of section 2
        if not isinstance(patch, dict):
            return patch
        target = dict(target) if isinstance(target, dict) else {}
        for name, value in patch.items():
            if value is None:
                target.pop(name, None)
            else:
                target[name] = reference(target.get(name), value)
        return target

    assert merged(spec, changes) == reference(spec, changes)


def test_a_merge_leaves_its_arguments_alone() -> None:
    spec, changes = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merged(spec, changes) == {"a": {"b": 1, "c": 2}}
    assert (spec, changes) == ({"a": {"b": 1}}, {"a": {"c": 2}})
