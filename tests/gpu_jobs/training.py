"""Runs small real jobs for the tests of the core: a llama of 11,000 weights on Python's language reference."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

import gpu_jobs
from gpu_jobs import spec as specs
from gpu_jobs.context import Context
from gpu_jobs.events import Event, Metrics

TINY = {
    "kind": "pretrain",
    "model": {"source": "config", "architecture": "llama", "layers": 2, "width": 16, "heads": 2, "context": 32},
    "data": {"source": "builtin", "name": "language-reference"},
    "schedule": {"name": "linear", "warmup_steps": 2},
    "steps": 8,
    "batch_size": 4,
    "sequence_length": 16,
    "eval_every": 4,
    "eval_batches": 2,
    "checkpoint_every": 3,
}
LORA = {"name": "lora", "rank": 2, "targets": "all"}


@dataclass(frozen=True)
class Outcome:
    """What a run said, and the folder it worked in."""

    events: list[Event]
    work_dir: Path
    started_at: float = 0.0  # seconds since the epoch

    @property
    def last(self) -> Any:
        return self.events[-1]

    @property
    def last_step(self) -> int:
        return max(self.series("train/loss"))

    @property
    def facts(self) -> dict[str, Any]:
        return self.events[0].facts  # type: ignore[attr-defined]

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def series(self, name: str) -> dict[int, float]:
        return {event.step: event.values[name] for event in self.of(Metrics) if name in event.values}

    def weights(self, name: str = "model/model.safetensors") -> dict[str, Tensor]:
        return load_file(self.work_dir / name)


class Bench:
    """Runs specs, each in a new work folder, on a cache that the whole session shares."""

    def __init__(self, root: Path) -> None:
        self.root, self._numbers = root, itertools.count()

    def context(self, **options: Any) -> Context:
        work = self.root / f"work-{next(self._numbers)}"
        work.mkdir()
        return Context(**{"work_dir": work, "cache_dir": self.root / "cache"} | options)

    def run(self, changes: Mapping[str, Any] | None = None, **options: Any) -> Outcome:
        context, started_at = self.context(**options), time.time()
        events = list(gpu_jobs.run(specs.parse({**TINY, **(changes or {})}), context))
        return Outcome(events, context.work_dir, started_at)


def after(calls: int) -> Callable[[], bool]:
    """A should_stop that says yes when asked for the time `calls` + 1: before that update."""
    counter = itertools.count()
    return lambda: next(counter) >= calls


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether both hold the same names with the same bits."""
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The largest difference between any two values."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)
