"""The device of this process: which one, its random numbers, and the peak of its memory in each phase."""

from __future__ import annotations

import os
import random
import resource
import sys
from pathlib import Path

import numpy as np
import psutil
import torch

CGROUP = Path("/sys/fs/cgroup")


def pick(rank: int = 0) -> torch.device:
    """The GPU of this rank where there is one, else the CPU. A worker shows each job its own GPUs only."""
    if torch.cuda.is_available():
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
        return device
    return torch.device("cpu")


def make_deterministic(device: torch.device) -> None:
    """On the CPU the same seed then gives the same bits; on GPUs it would cost too much speed."""
    torch.use_deterministic_algorithms(device.type == "cpu", warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def seed(value: int) -> None:
    """Seeds every generator that a model or a method may use."""
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def describe(device: torch.device) -> dict[str, str | int]:
    """{"device": its name, "device_bytes": its memory}"""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return {"device": properties.name, "device_bytes": properties.total_memory}
    return {"device": "cpu", "device_bytes": psutil.virtual_memory().total}


def check_fits(needed: int) -> None:
    """Raises MemoryError when the host has less left: the kernel would else kill this process without a word."""
    left = available_bytes()
    if needed > left:
        raise MemoryError(
            f"weights, gradients and optimizer need {needed / 2**30:.1f} GiB, {left / 2**30:.1f} are left"
        )


def available_bytes() -> int:
    """Memory of the host that this process may still take: what is free, within the limit of its control group."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no control group (version 2), or "max"
        return free
    return min(free, max(0, limit - used))


class PeakMemory:
    """The most memory that each phase has held: allocated by torch on a GPU; on the CPU grown above the start's.

    The kernel's own high-water mark is used on the CPU: it misses nothing and costs nothing, but only ever rises where
    it can't be reset, so that a later phase is then at least as high as an earlier one.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.phases: dict[str, int] = {}
        self._start = 0 if device.type == "cuda" else psutil.Process().memory_info().rss
        self._reset()

    def end(self, phase: str) -> int:
        """Closes the phase and returns its peak in bytes; the next begins."""
        peak = max(self.phases.get(phase, 0), self._peak())
        self.phases[phase] = peak
        self._reset()
        return peak

    def _peak(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return max(0, _high_water_bytes() - self._start)

    def _reset(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif sys.platform == "linux" and os.access("/proc/self/clear_refs", os.W_OK):
            _write_clear_refs()


def _high_water_bytes() -> int:
    """The resident set's peak since the last reset."""
    if sys.platform == "linux":
        with open("/proc/self/status") as status:  # noqa: PTH123 - procfs
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _write_clear_refs() -> None:
    """Sets the high-water mark back to what is held now (proc(5)); refused in some containers, which is fine."""
    try:
        with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123 - procfs
            file.write("5")
    except OSError:
        return
