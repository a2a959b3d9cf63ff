"""Efficiency: units, sensors that are missing, and compression from bytes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.protocols.study import FINETUNE, Series, row
from webapp.sweeps.protocols import efficiency_metrics as protocol

KNOBS = protocol.Knobs(name="efficiency_metrics")
RESULT: dict[str, Any] = {
    "stored_bytes": 1000,
    "wall_time_s": 1800.0,
    "flops": {"total": 3.6e6},
    "speed": {"tokens_per_second": 64.0, "samples_per_second": 8.0},
    "memory": {"peak_bytes": 250, "device_bytes": 1000, "phases": {"train": 250, "evaluate": 100, "save": 0}},
}


def run(method: str = "full", result: dict[str, Any] | None = None, **metrics: Any) -> Any:
    return row(
        {"method.name": method}, 1.0, spec=FINETUNE, result=RESULT if result is None else result, metrics=metrics
    )


def test_every_number_has_its_unit() -> None:
    watts = {"system/gpu0_power_watts": [100.0, 300.0], "system/gpu1_power_watts": 200.0,
             "system/gpu0_utilization_percent": [40.0, 60.0]}  # fmt: skip
    (line,) = protocol.analyse(KNOBS, [run(**watts)], Series(), {}).lines
    assert line.memory_utilization == 0.25
    assert line.compute_utilization == 0.5
    assert line.flops_per_second == 2000
    assert line.seconds_per_step == 0.5  # 4 samples a step at 8 a second
    assert line.energy_kwh == pytest.approx(0.4 * 0.5)  # 400 W for half an hour
    assert line.wall_time_s == 1800


def test_what_no_sensor_told_is_none_and_never_zero() -> None:
    (line,) = protocol.analyse(KNOBS, [run(result={"memory": {"peak_bytes": 0}, "wall_time_s": 0})], Series(), {}).lines
    told = line.model_dump(exclude={"run", "method", "score"})
    assert set(told.values()) == {None}


def test_compression_is_the_ratio_of_bytes_on_disk() -> None:
    rows = [run(), run("lora", {**RESULT, "stored_bytes": 50})]
    result = protocol.analyse(KNOBS, rows, Series(), {})
    assert {line.method: line.compression for line in result.lines} == {"full": 1, "lora": 20}


def test_without_a_reference_there_is_no_compression_and_it_says_so() -> None:
    result = protocol.analyse(KNOBS, [run("lora")], Series(), {})
    assert result.lines[0].compression is None
    assert "No run of 'full' has saved a model: there is no compression rate." in result.notes


def test_phases_are_told_one_by_one() -> None:
    result = protocol.analyse(KNOBS, [run()], Series(), {})
    assert [(phase.phase, phase.peak_memory_bytes) for phase in result.phases] == [("train", 250), ("evaluate", 100)]
