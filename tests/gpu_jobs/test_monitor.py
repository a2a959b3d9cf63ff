"""What the monitor says against what the kernel says, and what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from gpu_jobs.engine.monitor import Monitor, ProcessTree, read_gpu, visible_gpus


def wait_for(
    monitor: Monitor, holds: Callable[[dict[str, float]], bool] = bool, timeout_s: float = 20
) -> dict[str, float]:
    """The first sample of which `holds` is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        sample = monitor.drain()
        if sample and holds(sample):
            return sample
        time.sleep(0.02)
    raise AssertionError("no such sample came")


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_sample_is_given_once() -> None:
    with Monitor(0.2) as monitor:
        assert monitor.drain() == {}
        assert {"system/cpu_percent", "system/memory_bytes"} <= wait_for(monitor).keys()
        assert monitor.drain() == {}


def test_leaving_the_block_ends_the_thread_at_once() -> None:
    begin = time.monotonic()
    with Monitor(3600):
        pass
    assert time.monotonic() - begin < 2
    assert "monitor" not in [thread.name for thread in threading.enumerate()]


def test_the_processor_time_is_what_the_kernel_counts() -> None:
    tree = ProcessTree()
    mine, began = psutil.Process(), time.monotonic()
    tree.sample()
    before = sum(mine.cpu_times()[:2])
    spin(0.5)
    used, elapsed = sum(mine.cpu_times()[:2]) - before, time.monotonic() - began
    assert tree.sample()["system/cpu_percent"] == pytest.approx(100 * used / elapsed, rel=0.15)


def test_memory_grows_by_what_is_taken() -> None:
    tree = ProcessTree()
    before = tree.sample()["system/memory_bytes"]
    taken = np.ones(16_000_000)  # 128 MB, every page touched
    assert tree.sample()["system/memory_bytes"] - before == pytest.approx(taken.nbytes, rel=0.1)


def test_children_count_from_when_they_appear_until_they_end() -> None:
    tree = ProcessTree()
    alone = tree.sample()
    script = "x = bytearray(100_000_000); print(1, flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"1\n"
        tree.sample()
        time.sleep(0.5)
        with_child = tree.sample()
        child.kill()
    assert with_child["system/memory_bytes"] - alone["system/memory_bytes"] > 90_000_000
    assert with_child["system/cpu_percent"] > 20  # a busy core, shared with whoever else is on this machine
    tree.sample()
    assert tree.sample()["system/memory_bytes"] < with_child["system/memory_bytes"] - 90_000_000


def test_without_a_driver_there_are_no_gpus() -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    assert visible_gpus() == []


@pytest.mark.gpu
def test_the_gpu_that_is_visible_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    before = read_gpu(visible_gpus()[0])
    taken = torch.ones(2**28, device="cuda")  # 1 GiB
    after = read_gpu(visible_gpus()[0])
    assert after["memory_bytes"] - before["memory_bytes"] >= taken.nbytes
    assert 0 <= after["utilization_percent"] <= 100 and after["power_watts"] > 0
    with Monitor(0.2) as monitor:
        assert "system/gpu0_power_watts" in wait_for(monitor)
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
