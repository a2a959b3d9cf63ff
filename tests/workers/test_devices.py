"""Which devices a worker has, and what a child is given so that it sees its own only."""

from __future__ import annotations

import os

import pytest

from workers import devices
from workers.devices import Device

GPUS = {0: Device(0, "A", 10), 1: Device(1, "B", 20), 2: Device(2, "C", 30)}
UUIDS = {"GPU-aaaa1111": 0, "GPU-aaaa2222": 1, "GPU-bbbb3333": 2}


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("0,2", [0, 2]),
        ("2, 0", [2, 0]),
        ("GPU-bbbb", [2]),
        ("GPU-aaaa", []),  # two of them: CUDA sees none
        ("1,9,0", [1]),  # CUDA stops at the first that is not there
        ("", []),
        ("-1", []),
        ("MIG-123", ["MIG-123"]),
    ],
)
def test_the_workers_own_visible_devices_are_understood_as_cuda_does(monkeypatch, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [device.index for device in devices._visible(GPUS, UUIDS)] == expected


def test_a_child_sees_its_own_gpus_each_once():
    seen = devices.environment([GPUS[2], GPUS[1], GPUS[2]])
    assert seen == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "2,1"}


def test_slots_on_a_cpu_share_out_its_cores():
    cpu = Device(None, "cpu", 1)
    cores = len(os.sched_getaffinity(0))
    assert devices.environment([cpu]) == {}
    assert devices.environment([cpu], slots_of_cpu=2) == {"OMP_NUM_THREADS": str(max(1, cores // 2))}


def test_a_machine_without_gpus_has_one_slot_or_as_many_as_asked_for(monkeypatch):
    monkeypatch.setattr(devices, "_gpus", list)
    (device,) = devices.slots(None)
    assert device.index is None
    assert device.memory_bytes > 2**28
    assert len(devices.slots(3)) == 3


def test_more_slots_than_gpus_share_them_in_turn(monkeypatch):
    monkeypatch.setattr(devices, "_gpus", lambda: [GPUS[0], GPUS[1]])
    assert [device.index for device in devices.slots(3)] == [0, 1, 0]
    assert [device.index for device in devices.slots(None)] == [0, 1]
