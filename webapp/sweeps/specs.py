"""From a point to the job spec of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.runs.merging import merged
from webapp.sweeps.definition import TEST_SEEDS_FROM, Definition, Seeds
from webapp.sweeps.states import Role

TEST_FRACTION = 0.1


def nested(params: Mapping[str, Any]) -> dict[str, Any]:
    """{"optimizer.lr": 1} -> {"optimizer": {"lr": 1}}."""
    tree: dict[str, Any] = {}
    for path, value in params.items():
        *parents, leaf = path.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = value
    return tree


def spec_of(
    definition: Definition, params: Mapping[str, Any], seed: int, role: Role = Role.TUNE, steps: int | None = None
) -> dict[str, Any]:
    """The base spec with the point merged in. Where a test split is asked for, no run of the sweep trains on it, and
    only the winner's test runs are judged by it."""
    changes = nested(params) | {"seed": seed}
    if steps is not None:
        changes["steps"] = steps
    spec = merged(definition.spec, changes)
    return _with_test(spec, role) if definition.seeds.test else spec


def _with_test(spec: dict[str, Any], role: Role) -> dict[str, Any]:
    data = spec.get("data")
    if isinstance(data, dict) and not any(data.get(key) for key in ("test_fraction", "test_path", "test_split")):
        spec = {**spec, "data": {**data, "test_fraction": TEST_FRACTION}}
    return {**spec, "report_test": role == Role.TEST}


def seeds_of(seeds: Seeds, role: Role, count: int) -> list[int]:
    first = seeds.first if role == Role.TUNE else TEST_SEEDS_FROM
    return list(range(first, first + count))


def test_metric(metric: str) -> str:
    """What a run that reports on the test split calls a metric of the evaluation split."""
    return "test/" + metric.removeprefix("eval/")
