"""The devices of this machine, found without touching CUDA: a child forked after that could not use it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Device:
    """One slot's device. `index` is NVML's number (PCI bus order) or a MIG name; None on a CPU."""

    index: int | str | None
    name: str
    memory_bytes: int


def slots(count: int | None) -> list[Device]:
    """One device a slot: every visible GPU, or the CPU once; with a count, GPUs are shared out in turn."""
    found = _gpus() or [_cpu()]
    return [found[number % len(found)] for number in range(len(found) if count is None else count)]


def environment(devices: Sequence[Device], slots_of_cpu: int = 1) -> dict[str, str]:
    """What a child process is given so that it sees these GPUs and no other; slots on a CPU share out its cores."""
    names = ",".join(dict.fromkeys(str(device.index) for device in devices if device.index is not None))
    if names:
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", VISIBLE: names}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"OMP_NUM_THREADS": str(max(1, cores // slots_of_cpu))} if slots_of_cpu > 1 else {}


def versions() -> dict[str, str]:
    """What runs here: Python and the libraries that decide results."""
    found = {"python": platform.python_version()}
    for package in ("hone-lab", "torch", "transformers", "peft"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _gpus() -> list[Device]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        found = {index: _gpu(pynvml, index, handle) for index, handle in enumerate(handles)}
        uuids = {str(pynvml.nvmlDeviceGetUUID(handle)): index for index, handle in enumerate(handles)}
        return list(_visible(found, uuids))
    finally:
        pynvml.nvmlShutdown()


def _gpu(pynvml: object, index: int, handle: object) -> Device:
    name = pynvml.nvmlDeviceGetName(handle)  # type: ignore[attr-defined]
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)  # type: ignore[attr-defined]
    return Device(index, str(name), int(memory.total))


def _visible(found: dict[int, Device], uuids: dict[str, int]) -> Iterable[Device]:
    """Those that the worker's own CUDA_VISIBLE_DEVICES leaves; like CUDA, it stops at the first unknown name."""
    if VISIBLE not in os.environ:
        yield from found.values()
        return
    for word in (word.strip() for word in os.environ[VISIBLE].split(",")):
        matches = [index for uuid, index in uuids.items() if word.startswith("GPU-") and uuid.startswith(word)]
        if word.isdecimal() and int(word) in found:
            yield found[int(word)]
        elif len(matches) == 1:
            yield found[matches[0]]
        elif word.startswith("MIG-"):
            yield Device(word, "MIG slice", 0)
        else:
            return


def _cpu() -> Device:
    return Device(None, _cpu_name(), min(psutil.virtual_memory().total, _memory_limit()))


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_limit() -> int:
    """The container's limit in bytes (cgroup v2), else no limit."""
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return 2**63
    return int(text) if text.isdecimal() else 2**63
