"""What only a GPU can show: mixed precision by default, readings one step late, CUDA's own out-of-memory."""

from __future__ import annotations

import pytest
import torch

from gpu_jobs.events import Failed
from tests.gpu_jobs.training import Bench, after

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")]


def test_every_step_is_read_though_one_step_late(bench: Bench) -> None:
    run = bench.run()
    assert list(run.series("train/loss")) == list(range(1, 9))
    assert run.facts["precision"] == "bf16"
    assert run.last.values["memory"]["device"] == torch.cuda.get_device_name()


def test_a_resumed_run_goes_on_where_it_was(bench: Bench) -> None:
    whole = bench.run({"precision": "fp32"})
    first = bench.run({"precision": "fp32"}, should_stop=after(5))
    second = bench.run({"precision": "fp32"}, resume_from=first.work_dir / "checkpoints/step-5")
    series = first.series("train/loss") | second.series("train/loss")
    assert series == pytest.approx(whole.series("train/loss"), rel=1e-4)


def test_cuda_s_out_of_memory_is_an_outcome_with_advice(bench: Bench) -> None:
    size = {"source": "config", "architecture": "llama", "layers": 1, "width": 8192, "heads": 64, "context": 65536}
    last = bench.run({"model": size, "batch_size": 4096, "sequence_length": 65536 // 64, "eval_every": 0}).last
    assert isinstance(last, Failed)
    assert last.outcome == "out_of_memory"


def test_the_planned_memory_is_near_what_is_measured(bench: Bench) -> None:
    model = {"source": "builtin", "name": "small"}
    run = bench.run({"model": model, "batch_size": 16, "sequence_length": 512, "steps": 4, "eval_every": 0})
    planned = run.facts["plan"]["memory"]["total"]
    assert planned == pytest.approx(run.last.values["memory"]["phases"]["train"], rel=0.25)
