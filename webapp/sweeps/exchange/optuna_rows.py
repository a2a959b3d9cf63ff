"""Many trials into a fresh Optuna storage at once.

Optuna adds one trial at a time, with a query for each of its values: 5,000 trials would take minutes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

Row = dict[str, Any]
STUDY = 1  # the only one of a fresh storage


def insert(storage: RDBStorage, trials: Sequence[FrozenTrial]) -> None:
    """The rows that `study.add_trial` would make, numbered from 0. The storage has one study, without trials."""
    import sqlalchemy

    tables = sqlalchemy.MetaData()
    tables.reflect(storage.engine)
    rows = {
        "trials": [_trial(number, one) for number, one in enumerate(trials)],
        "trial_params": [row for number, one in enumerate(trials, 1) for row in _params(number, one)],
        "trial_values": [row for number, one in enumerate(trials, 1) for row in _values(number, one)],
        "trial_intermediate_values": [row for number, one in enumerate(trials, 1) for row in _series(number, one)],
        "trial_user_attributes": [row for number, one in enumerate(trials, 1) for row in _attributes(number, one)],
    }
    with storage.engine.begin() as connection:
        for name, found in rows.items():
            if found:
                connection.execute(tables.tables[name].insert(), found)


def _trial(number: int, one: FrozenTrial) -> Row:
    return {
        "trial_id": number + 1, "number": number, "study_id": STUDY, "state": one.state.name,
        "datetime_start": _utc(one.datetime_start), "datetime_complete": _utc(one.datetime_complete),
    }  # fmt: skip


def _utc(moment: datetime | None) -> datetime | None:
    """Optuna's trials have naive local times, its storage naive ones of UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment else None


def _params(trial_id: int, one: FrozenTrial) -> Iterator[Row]:
    from optuna.distributions import distribution_to_json

    for name, value in one.params.items():
        distribution = one.distributions[name]
        yield {
            "trial_id": trial_id, "param_name": name, "param_value": distribution.to_internal_repr(value),
            "distribution_json": distribution_to_json(distribution),
        }  # fmt: skip


def _values(trial_id: int, one: FrozenTrial) -> Iterator[Row]:
    for objective, value in enumerate(one.values or []):
        yield {"trial_id": trial_id, "objective": objective, "value": value, "value_type": "FINITE"}


def _series(trial_id: int, one: FrozenTrial) -> Iterator[Row]:
    """A value that is not finite is a type, not a number."""
    for step, value in one.intermediate_values.items():
        kind = "NAN" if math.isnan(value) else {float("inf"): "INF_POS", float("-inf"): "INF_NEG"}.get(value, "FINITE")
        stored = value if kind == "FINITE" else None
        yield {"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind}


def _attributes(trial_id: int, one: FrozenTrial) -> Iterator[Row]:
    for key, value in one.user_attrs.items():
        yield {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
