"""Reads what a step has measured without making the GPU wait for it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

More = Mapping[str, float | Tensor]


@dataclass(frozen=True)
class Reading:
    """What update `step` (counted from 1) has measured; `interval_s` is the time since the reading before it."""

    step: int
    rate: float
    loss: float
    grad_norm: float
    tokens: int
    should_stop: bool
    interval_s: float
    more: dict[str, float]  # what the method and the objective tell of this step


class Telemetry:
    """Values are copied to the CPU beside the computation, and read when the next step is already under way.

    So the GPU never waits, and a value is read the moment its step is done. On the CPU they are read at once. `speed`
    leaves the first step out: it compiles kernels and fills caches.
    """

    def __init__(self, device: torch.device) -> None:
        self._late = 1 if device.type == "cuda" else 0
        self._waiting: deque[tuple[int, float, Tensor, More, torch.cuda.Event | None]] = deque()
        self._last = time.perf_counter()
        self._first: Reading | None = None
        self._steps, self._tokens, self._seconds = 0, 0, 0.0

    def push(self, step: int, rate: float, values: Tensor, more: More) -> None:
        """`values`: float32 (4,) loss, gradient norm, tokens, and whether a rank was asked to stop."""
        if self._late:
            values = values.to("cpu", non_blocking=True)  # into pinned memory, behind the step on its stream
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
            self._waiting.append((step, rate, values, more, event))
        else:
            self._waiting.append((step, rate, values, more, None))

    def pop(self, *, everything: bool = False) -> list[Reading]:
        """The readings that are due; `everything` waits for the step under way, too."""
        readings = []
        while len(self._waiting) > (0 if everything else self._late):
            step, rate, values, more, event = self._waiting.popleft()
            if event:
                event.synchronize()
            loss, grad_norm, tokens, stop = values.tolist()
            now = time.perf_counter()
            told = {name: float(value) for name, value in more.items()}
            readings.append(Reading(step, rate, loss, grad_norm, int(tokens), stop > 0, now - self._last, told))
            self._count(readings[-1])
            self._last = now
        return readings

    def _count(self, reading: Reading) -> None:
        if self._first is None:
            self._first = reading
        else:
            self._steps += 1
            self._tokens += reading.tokens
            self._seconds += reading.interval_s

    def speed(self, batch_size: int) -> dict[str, float]:
        """Tokens and samples per second of this attempt's training alone; {} when it had no step left."""
        if self._first is None:
            return {}
        steps, tokens, seconds = self._steps, self._tokens, self._seconds
        if not steps:
            steps, tokens, seconds = 1, self._first.tokens, self._first.interval_s
        return {"tokens_per_second": tokens / seconds, "samples_per_second": steps * batch_size / seconds}

    def restart(self) -> None:
        """Leaves out of the next interval what was not training: an evaluation, a checkpoint."""
        self._last = time.perf_counter()
