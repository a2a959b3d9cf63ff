"""What a run of kind prune tells of the model that it has left, and of the dense one that it began with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from webapp.runs.states import Status
from webapp.sweeps.measures import reading

if TYPE_CHECKING:
    from webapp.sweeps.rows import Row

METHOD, TARGET = "method.name", "method.sparsity"


class Pruned(NamedTuple):
    """A model. `sparsity` as measured on the saved file, `dense` the quality of the model before, on the same samples.
    None is what was not measured."""

    run: int
    seed: int
    method: str
    is_retrained: bool
    target: float
    sparsity: float
    quality: float
    dense: float | None
    stored_bytes: float | None
    nonzero: float | None

    def worse(self, sign: float, dense: float | None = None) -> float | None:
        """How much worse than dense, relative to it; `sign` is -1 where more is better. `dense`: where it told none."""
        reference = self.dense if self.dense is not None else dense
        return sign * (self.quality - reference) / abs(reference) if reference else None


def final(row: Row, metric: str) -> Pruned | None:
    """The model as it was saved; None where the run has not ended well, or has no such metric."""
    value = reading.score(row, metric)
    return None if value is None else _pruned(row, value, _last(row, f"dense/{metric}"), bool(row.spec.get("retrain")))


def before_retraining(row: Row, metric: str) -> Pruned | None:
    """The same before it was retrained, which is what a run without retraining would have left."""
    value = _last(row, f"pruned/{metric}") if row.status == Status.SUCCEEDED and row.spec.get("retrain") else None
    return None if value is None else _pruned(row, value, _last(row, f"dense/{metric}"), is_retrained=False)


def untouched(row: Row, one: Pruned) -> Pruned | None:
    """The dense model that a run began with; None where it told no quality of it."""
    if one.dense is None:
        return None
    size = _number(reading.at(row.result or {}, "bytes.dense"))
    count = _number(reading.at(row.result or {}, "parameters.dense"))
    return one._replace(target=0.0, sparsity=0.0, quality=one.dense, stored_bytes=size, nonzero=count)


def target(row: Row) -> float | None:
    """The sparsity that was asked for."""
    return _number(reading.setting(row, TARGET))


def sparsity(row: Row) -> float | None:
    """As measured on the saved file."""
    return _told(row, "sparsity/measured", "sparsity.measured")


def stored_bytes(row: Row) -> float | None:
    return _told(row, "size/stored_bytes", "bytes.stored")


def nonzero(row: Row) -> float | None:
    return _told(row, "size/nonzero_parameters", "parameters.nonzero")


def _pruned(row: Row, quality: float, dense: float | None, is_retrained: bool) -> Pruned | None:
    asked, measured = target(row), sparsity(row)
    if asked is None and measured is None:
        return None
    asked = measured if asked is None else asked
    return Pruned(
        run=row.run, seed=row.seed, method=str(reading.setting(row, METHOD) or ""), is_retrained=is_retrained,
        target=asked or 0.0, sparsity=(asked or 0.0) if measured is None else measured, quality=quality, dense=dense,
        stored_bytes=stored_bytes(row), nonzero=nonzero(row),
    )  # fmt: skip


def _told(row: Row, metric: str, path: str) -> float | None:
    """The run's own metric, else what its result says."""
    logged = _last(row, metric)
    return _number(reading.at(row.result or {}, path)) if logged is None else logged


def _last(row: Row, metric: str) -> float | None:
    return _number(row.metrics[metric].last) if metric in row.metrics else None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None
