"""Samples what a job takes of its machine, on a thread beside it: processor, memory, GPUs."""

from __future__ import annotations

import contextlib
import os
import threading
from types import TracebackType
from typing import Any, Self

import psutil

FIRST_SAMPLE_S = 0.5  # so that a short run has one, too


class Monitor:
    """Use as a block around a job; `drain` gives the newest sample.

    `system/cpu_percent` is that of this process and its children (100 is one core); `system/memory_bytes` sums their
    resident memory, in which pages they share count more than once. `system/gpu0_*` is the first GPU that is visible
    to the job, all of its users together. A sample costs about a millisecond.
    """

    def __init__(self, interval_s: float = 5.0) -> None:
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._latest: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def drain(self) -> dict[str, float]:
        """The newest values since the last call, {} when there are none yet."""
        with self._lock:
            latest, self._latest = self._latest, {}
        return latest

    def _run(self) -> None:
        processes, gpus = ProcessTree(), visible_gpus()
        wait_s = min(FIRST_SAMPLE_S, self._interval_s)
        while not self._stop.wait(wait_s):
            sample = processes.sample()
            for index, gpu in enumerate(gpus):
                sample |= {f"system/gpu{index}_{name}": value for name, value in read_gpu(gpu).items()}
            with self._lock:
                self._latest = sample
            wait_s = self._interval_s


class ProcessTree:
    """Processor time and memory of this process and all below it."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}
        self._refresh()

    def _refresh(self) -> None:
        me = psutil.Process(os.getpid())
        known, self._known = self._known, {}
        for process in (me, *me.children(recursive=True)):
            if known.get(process.pid) == process:  # not another one with the number of one that has ended
                self._known[process.pid] = known[process.pid]
                continue
            with contextlib.suppress(psutil.Error):
                process.cpu_percent()  # the first call only starts the clock
                self._known[process.pid] = process

    def sample(self) -> dict[str, float]:
        """`system/cpu_percent` since the last sample and `system/memory_bytes` now."""
        cpu = memory = 0.0
        for process in self._known.values():
            with contextlib.suppress(psutil.Error):  # it may have ended
                cpu += process.cpu_percent()
                memory += process.memory_info().rss
        self._refresh()
        return {"system/cpu_percent": cpu, "system/memory_bytes": memory}


def visible_gpus() -> list[Any]:
    """NVML handles of the GPUs in CUDA_VISIBLE_DEVICES, in its order; [] without a driver. Does not start CUDA."""
    import pynvml

    try:
        pynvml.nvmlInit()
        every = range(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in every] if visible is None else [name.strip() for name in visible.split(",")]
    handles = []
    for name in names:
        handle = _handle(name)
        if handle is None:  # CUDA, too, ends the list at the first name that it can't use
            break
        handles.append(handle)
    return handles


def _handle(name: str) -> Any:
    import pynvml

    try:
        if name.isdecimal():
            return pynvml.nvmlDeviceGetHandleByIndex(int(name))
        return pynvml.nvmlDeviceGetHandleByUUID(name) if name.startswith(("GPU-", "MIG-")) else None
    except pynvml.NVMLError:
        return None


def read_gpu(handle: Any) -> dict[str, float]:
    """utilization_percent, memory_bytes and power_watts, each left out where the device does not tell it."""
    import pynvml

    values: dict[str, float] = {}
    with contextlib.suppress(pynvml.NVMLError):
        values["utilization_percent"] = float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    with contextlib.suppress(pynvml.NVMLError):
        values["memory_bytes"] = float(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
    with contextlib.suppress(pynvml.NVMLError):
        values["power_watts"] = pynvml.nvmlDeviceGetPowerUsage(handle) / 1000  # NVML counts milliwatts
    return values
