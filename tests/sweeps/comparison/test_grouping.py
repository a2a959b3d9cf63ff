"""Groups: only seeds are put together, and a label says what tells a group from the others, no more."""

from __future__ import annotations

from typing import Any

from tests.sweeps.protocols.study import FINETUNE, PRETRAIN, row
from webapp.sweeps.comparison import groups_of


def labels(*rows: Any, paths: tuple[str, ...] = ()) -> list[str]:
    return [group.label for group in groups_of(rows, paths)]


def tuned(rank: int = 2, lr: float = 1e-3, **fields: Any) -> Any:
    changes = {"method": {"name": "lora", "rank": rank}, "optimizer": {"name": "adamw", "lr": lr}}
    return row(spec={**FINETUNE, **changes, "seed": fields.get("seed", 0)}, **fields)


def full(**fields: Any) -> Any:
    return row(spec={**FINETUNE, "method": {"name": "full"}, "seed": fields.get("seed", 0)}, **fields)


def test_runs_that_differ_only_in_their_seed_are_one_group() -> None:
    rows = [tuned(seed=0), tuned(seed=1), tuned(rank=4, seed=0)]
    first, second = groups_of(rows)
    assert [row.seed for row in first.rows] == [0, 1]
    assert (first.key, second.key) == (rows[0].run, rows[2].run)


def test_the_order_of_the_rows_changes_nothing() -> None:
    rows = [tuned(seed=seed, rank=rank) for seed in range(3) for rank in (2, 4)]
    assert groups_of(rows) == groups_of(rows[::-1])


def test_a_method_alone_needs_no_knobs() -> None:
    assert labels(full(), tuned()) == ["full", "lora"]


def test_a_knob_is_told_where_it_tells_groups_of_one_method_apart() -> None:
    assert labels(full(), tuned(rank=2), tuned(rank=4)) == ["full", "lora rank 2", "lora rank 4"]
    assert labels(tuned(rank=2, lr=1e-3), tuned(rank=4, lr=3e-4)) == ["lora rank 2, lr 0.001", "lora rank 4, lr 0.0003"]


def test_what_differs_between_methods_is_a_setting_though_no_part_of_the_label() -> None:
    groups = groups_of([full(), tuned(lr=1e-2)])
    assert [group.label for group in groups] == ["full", "lora"]
    assert [group.settings for group in groups] == [
        {"method.name": "full", "optimizer.lr": 1e-3},
        {"method.name": "lora", "optimizer.lr": 1e-2},
    ]


def test_knobs_of_different_optimizers_are_not_held_against_each_other() -> None:
    muon = {**PRETRAIN, "optimizer": {"name": "muon", "lr": 1e-3, "momentum": 0.9}}
    assert labels(row(), row(spec=muon)) == ["pretrain optimizer adamw", "pretrain optimizer muon"]


def test_equal_last_names_are_told_in_full() -> None:
    a = {**PRETRAIN, "x": {"size": 1}, "y": {"size": 1}}
    rows = [row(spec=a), row(spec={**a, "x": {"size": 2}}), row(spec={**a, "y": {"size": 2}})]
    assert labels(*rows)[1] == "pretrain x size 2, y size 1"


def test_long_values_that_look_the_same_are_numbered() -> None:
    rows = [row(spec={**PRETRAIN, "data": {"path": "x" * 60 + end}}) for end in "ab"]
    assert [label[-3:] for label in labels(*rows)] == ["(1)", "(2)"]


def test_groups_by_a_path_hold_whatever_shares_it() -> None:
    rows = [full(), tuned(rank=2), tuned(rank=4)]
    groups = groups_of(rows, ("method.name",))
    assert [(group.label, len(group.rows), group.is_configuration) for group in groups] == [
        ("full", 1, False),
        ("lora", 2, False),
    ]
    assert labels(*rows, paths=("method.rank",)) == ["rank none", "rank 2", "rank 4"]


def test_runs_from_outside_are_told_apart_by_name() -> None:
    rows = [row({"name": name}, spec={"kind": "external"}) for name in ("mine", "theirs", "mine")]
    assert [(group.label, len(group.rows)) for group in groups_of(rows)] == [("mine", 2), ("theirs", 1)]
