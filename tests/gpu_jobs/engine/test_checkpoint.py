"""A run that was stopped or killed ends as if nothing had happened, bit for bit on the CPU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gpu_jobs.engine import checkpoint
from gpu_jobs.events import Checkpoint, Failed, Started
from tests.gpu_jobs.training import LORA, TINY, Bench, Outcome, after, same

DROPOUT = {
    "model": {"source": "config", "architecture": "gpt2", "layers": 2, "width": 16, "heads": 2, "context": 32,
              "dropout": 0.3},
    "accumulation": 2,
    "optimizer": {"name": "adamw", "lr": 1e-2},
}  # fmt: skip
CASES = {
    "pretraining": {},
    "dropout and accumulation": DROPOUT,
    "over the end of an epoch": {"data": {"source": "builtin", "name": "digits"}, "batch_size": 500, "steps": 7,
                                 "model": {"source": "config", "architecture": "vit", "layers": 1, "width": 8,
                                           "heads": 1}},
    "adapter with dropout": {"kind": "finetune", "method": {**LORA, "dropout": 0.2}},
    "a schedule by tokens": {"data": {"source": "builtin", "name": "digits"}, "optimizer": {"name": "adamw", "lr": 0.5},
                             "model": {"source": "config", "architecture": "vit", "layers": 1, "width": 8, "heads": 1},
                             "schedule": {"name": "power", "a": 0.1}},
}  # fmt: skip
SLOW_STEPS = {**TINY, "steps": 400, "checkpoint_every": 20, "eval_every": 0}


def trained(run: Outcome, changes: dict[str, Any]) -> dict[str, Any]:
    name = "adapter_model" if "method" in changes else "model"
    return run.weights(f"model/{name}.safetensors")


@pytest.mark.parametrize("name", CASES)
def test_stopped_and_resumed_is_undisturbed_bit_for_bit(bench: Bench, name: str) -> None:
    changes: dict[str, Any] = CASES[name]  # type: ignore[assignment]
    whole = bench.run(changes)
    first = bench.run(changes, should_stop=after(5))
    second = bench.run(changes, resume_from=first.work_dir / "checkpoints/step-5")
    assert same(trained(second, changes), trained(whole, changes))
    for series in ("train/loss", "train/grad_norm", "train/lr", "train/tokens", "eval/loss"):
        assert first.series(series) | second.series(series) == whole.series(series)
        assert not first.series(series).keys() & second.series(series).keys()
    assert second.of(Started)[0].step == 5


def killed(work: Path, spec: Path, cache: Path) -> int:
    """Runs the spec in a process of its own and kills it after its second checkpoint; returns the last step seen."""
    command = [sys.executable, "-m", "gpu_jobs", "run", str(spec), "--work", str(work), "--cache", str(cache)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    checkpoints, step = 0, 0
    for line in process.stdout:
        event = json.loads(line)
        step = event.get("step") or step
        checkpoints += event["type"] == "checkpoint"
        if checkpoints == 2 and step > 45:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    return step


def test_killed_and_resumed_is_undisturbed_bit_for_bit(bench: Bench, tmp_path: Path) -> None:
    """Resumed in another process than the one that was killed."""
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(SLOW_STEPS))
    seen = killed(tmp_path / "work", spec, bench.root / "cache")
    latest = checkpoint.folders(tmp_path / "work")[-1]
    assert 0 < int(latest.name.removeprefix("step-")) <= seen < 400
    resumed = bench.run(SLOW_STEPS, resume_from=latest)
    whole = bench.run(SLOW_STEPS)
    assert same(resumed.weights(), whole.weights())
    steps = whole.series("train/loss")
    assert resumed.series("train/loss").items() <= steps.items()
    assert max(resumed.series("train/loss")) == 400


def test_a_resumed_run_takes_over_the_number_of_threads(bench: Bench, request: pytest.FixtureRequest) -> None:
    """Sums over other numbers of threads end in other bits."""
    request.addfinalizer(lambda: torch.set_num_threads(1))
    torch.set_num_threads(2)
    first = bench.run({"steps": 3}, should_stop=after(2))
    torch.set_num_threads(1)
    bench.run({"steps": 3}, resume_from=first.work_dir / "checkpoints/step-2")
    assert torch.get_num_threads() == 2


def test_only_the_latest_two_are_kept(base: Outcome, bench: Bench) -> None:
    assert [folder.name for folder in checkpoint.folders(base.work_dir)] == ["step-3", "step-6"]
    run = bench.run({"checkpoint_every": 2})
    assert [event.step for event in run.of(Checkpoint)] == [2, 4, 6]
    assert [folder.name for folder in checkpoint.folders(run.work_dir)] == ["step-4", "step-6"]


def test_the_last_step_is_kept_when_another_run_is_to_go_on_from_it(bench: Bench) -> None:
    run = bench.run({"checkpoint_every": 0, "checkpoint_at_end": True})
    assert [event.step for event in run.of(Checkpoint)] == [8]
    again = bench.run({"checkpoint_at_end": True}, resume_from=run.work_dir / "checkpoints/step-8")
    assert same(again.weights(), run.weights())
    assert again.last.values["quality"] == run.last.values["quality"]


def test_a_checkpoint_is_safetensors_and_json_only(base: Outcome) -> None:
    folder = base.work_dir / "checkpoints/step-6"
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors",
        "optimizer.safetensors",
        "rng-0.safetensors",
        "state.json",
    }
    state = json.loads((folder / "state.json").read_text())
    assert (state["step"], state["tokens"]) == (6, 6 * 64)
    assert state["data"]["offset"] == 24


def test_an_adapter_s_checkpoint_leaves_the_frozen_weights_out(bench: Bench) -> None:
    run = bench.run({"kind": "finetune", "method": LORA})
    names = run.weights("checkpoints/step-6/model.safetensors")
    assert names
    assert all(".lora_" in name for name in names)


def test_what_a_killed_process_left_half_written_is_no_checkpoint(bench: Bench) -> None:
    context = bench.context()
    unfinished = checkpoint.begin(context.work_dir, 9)
    (unfinished / "model.safetensors").write_bytes(b"half")
    assert checkpoint.folders(context.work_dir) == []
    checkpoint.begin(context.work_dir, 10)
    assert not unfinished.exists()


def test_going_on_with_other_data_is_refused(bench: Bench, base: Outcome) -> None:
    other = {"data": {"source": "builtin", "name": "language-reference", "eval_fraction": 0.2}}
    last = bench.run(other, resume_from=base.work_dir / "checkpoints/step-6").last
    assert isinstance(last, Failed)
    assert "the data are not those" in last.message


def test_a_checkpoint_of_another_method_is_refused(bench: Bench, base: Outcome) -> None:
    changes = {"kind": "finetune", "method": LORA}
    last = bench.run(changes, resume_from=base.work_dir / "checkpoints/step-6").last
    assert isinstance(last, Failed)
    assert "another model or method" in last.message


@pytest.mark.parametrize("rank", [1, 4])
def test_a_checkpoint_of_another_rank_is_refused(bench: Bench, rank: int) -> None:
    """One row would be stretched over the others without a word."""
    changes = {"kind": "finetune", "method": {**LORA, "rank": rank}}
    folder = bench.run(changes).work_dir / "checkpoints/step-6"
    last = bench.run({**changes, "method": {**LORA, "rank": 2}}, resume_from=folder).last
    assert isinstance(last, Failed)
    assert "(2, 16) here" in last.message


def test_going_on_under_another_spec_keeps_the_state_and_takes_its_knobs(bench: Bench, base: Outcome) -> None:
    """What AdamW then does to the first weight is that of its equation with the new knobs and the old moments."""
    folder = base.work_dir / "checkpoints/step-6"
    knobs = {"name": "adamw", "lr": 0.02, "weight_decay": 0.3, "beta1": 0.5, "beta2": 0.7, "eps": 1e-6}
    changes = {"steps": 7, "optimizer": knobs, "schedule": {"name": "constant"}, "checkpoint_at_end": True}
    run = bench.run(changes, resume_from=folder)
    assert run.series("train/lr") == {7: 0.02}
    weights = run.weights("checkpoints/step-7/model.safetensors")
    old, moments = load_file(folder / "optimizer.safetensors"), run.weights("checkpoints/step-7/optimizer.safetensors")
    for name, before in load_file(folder / "model.safetensors").items():
        gradient = (moments[f"{name}|exp_avg"] - 0.5 * old[f"{name}|exp_avg"]) / 0.5
        second = 0.7 * old[f"{name}|exp_avg_sq"] + 0.3 * gradient**2
        assert torch.allclose(moments[f"{name}|exp_avg_sq"], second, rtol=1e-3, atol=1e-12)
        assert moments[f"{name}|step"].item() == 7
        mean, root = moments[f"{name}|exp_avg"] / (1 - 0.5**7), (second / (1 - 0.7**7)).sqrt()
        decayed = before * (1 - 0.02 * (0.3 if before.ndim >= 2 else 0))
        assert torch.allclose(weights[name], decayed - 0.02 * mean / (root + 1e-6), rtol=1e-4, atol=1e-5)


def test_a_schedule_by_tokens_goes_on_with_those_that_were_read(bench: Bench) -> None:
    """Five updates of 64 tokens, then one with twice the batch: lr = beta a n^b, with n 320 and 448."""
    changes = {"optimizer": {"name": "adamw", "lr": 0.05}, "schedule": {"name": "power", "a": 0.1, "decay": 0}}
    first = bench.run(changes, should_stop=after(5))
    second = bench.run({**changes, "batch_size": 8, "steps": 7}, resume_from=first.work_dir / "checkpoints/step-5")
    assert first.series("train/lr")[5] == pytest.approx(4 * 0.1 * 256**-0.51)
    assert second.series("train/lr") == {
        6: pytest.approx(8 * 0.1 * 320**-0.51),
        7: pytest.approx(8 * 0.1 * 448**-0.51),
    }


def test_a_folder_that_is_no_checkpoint_is_refused(bench: Bench, tmp_path: Path) -> None:
    last = bench.run(resume_from=tmp_path).last
    assert isinstance(last, Failed)
    assert "can't be read" in last.message


def test_time_and_tokens_are_counted_over_all_attempts(bench: Bench) -> None:
    first = bench.run(should_stop=after(5))
    state = json.loads((first.work_dir / "checkpoints/step-5/state.json").read_text())
    time.sleep(1)  # the pause itself does not count
    begun = time.monotonic()
    second = bench.run(resume_from=first.work_dir / "checkpoints/step-5").last.values
    assert second["tokens"] == 8 * 64
    assert state["seconds"] < second["wall_time_s"] <= state["seconds"] + time.monotonic() - begun
