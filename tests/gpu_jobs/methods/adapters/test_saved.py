"""What is saved, in the hands of plain PEFT; and the prompts before a text."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gpu_jobs.engine import export
from gpu_jobs.engine.job import Job
from gpu_jobs.engine.loop import update
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.test_contract import IDS, logits
from tests.gpu_jobs.methods.test_contract import job as prepared
from tests.gpu_jobs.training import Bench, Outcome

PLAIN = """
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
base, adapters = sys.argv[1], sys.argv[2:]
ids = torch.arange(32).reshape(2, 16)
found = []
for adapter in adapters:
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
    with torch.no_grad():
        found.append(model(input_ids=ids).logits[:, -16:].double().sum().item())
print(json.dumps(found))
"""
METHODS = ["adalora", "boft", "corda", "dora", "eva", "ia3", "kasa", "lora_ga", "oft", "olora", "pissa", "prefix",
           "prompt", "p_tuning", "shira", "unilora", "vblora", "vera"]  # fmt: skip
REWRITERS = ["pissa", "olora", "corda", "lora_ga"]


def trained(bench: Bench, base: Outcome, method: dict[str, Any], **changes: Any) -> tuple[Job, Path]:
    """A job after two updates, and its folder."""
    job = prepared(bench, base, {"method": method, "optimizer": {"name": "adamw", "lr": 1e-2}, **changes})
    for step in range(2):
        for group in job.optimizer.param_groups:
            group["lr"] = 1e-2
        update(job, step)
    job.bare.eval()
    return job, export.save(job.spec, job.bare, None, job.data.tokenizer, job.context.work_dir)


def test_plain_peft_in_a_plain_script_loads_the_folders(bench: Bench, base: Outcome) -> None:
    runs = {name: trained(bench, base, {"name": name}) for name in METHODS}
    expected = [float(logits(job.bare).double().sum()) for job, _ in runs.values()]
    folders = [str(folder) for _, folder in runs.values()]
    command = [sys.executable, "-c", PLAIN, str(base.work_dir / "model"), *folders]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", REWRITERS)
def test_what_takes_a_part_out_of_its_base_is_saved_as_a_plain_lora(bench: Bench, base: Outcome, name: str) -> None:
    _, folder = trained(bench, base, {"name": name, "rank": 3})
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["init_lora_weights"], config["peft_type"]) == (6, True, "LORA")
    saved = load_file(folder / "adapter_model.safetensors")
    assert {value.shape[0] for key, value in saved.items() if "lora_A" in key} == {6}


@pytest.mark.parametrize("name", [*REWRITERS, "adaption_prompt"])
def test_a_base_of_random_weights_is_saved_whole(bench: Bench, name: str) -> None:
    """The base in the folder is the one that a LoRA leaves as it was, and the adapter changes it."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from tests.gpu_jobs.training import TINY

    changes = {"kind": "finetune", "model": TINY["model"], "method": {"name": name}}
    run = bench.run({**changes, "eval_before": True})
    folder = run.work_dir / "model"
    plain = AutoModelForCausalLM.from_pretrained(folder / "base")
    untouched = bench.run({**changes, "method": {"name": "lora"}}).work_dir / "model/base"
    same = AutoModelForCausalLM.from_pretrained(untouched)
    assert (logits(plain) - logits(same)).abs().max() < 1e-5
    with_adapter = logits(PeftModel.from_pretrained(plain, folder))
    assert (with_adapter - logits(same)).abs().max() > 1e-5


@pytest.mark.parametrize("name", ["prefix", "prompt", "p_tuning", "cartridge"])
def test_text_and_virtual_tokens_must_fit_the_context(bench: Bench, base: Outcome, name: str) -> None:
    prepared(bench, base, {"method": {"name": name, "tokens": 16}})  # 16 + 16 in a context of 32
    with pytest.raises(MethodError, match=r"16 \+ 17 > 32"):
        prepared(bench, base, {"method": {"name": name, "tokens": 17}})


@pytest.mark.parametrize("name", ["prefix", "prompt", "p_tuning", "cartridge"])
def test_virtual_tokens_are_not_counted_as_tokens_read(bench: Bench, base: Outcome, name: str) -> None:
    run = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": {"name": name}, "steps": 2},
        inputs={"run:1": base.work_dir / "model"},
    )
    assert run.last.values["tokens"] == 2 * 4 * 16


def test_a_prefix_is_attended_to_like_keys_and_values_before_the_text(bench: Bench, base: Outcome) -> None:
    """The same cache, put before the text by hand, gives the same logits."""
    from transformers import AutoModelForCausalLM, DynamicCache

    job, _ = trained(bench, base, {"name": "prefix", "tokens": 3})
    flat = job.bare.prompt_encoder["default"].embedding.weight.detach()  # (3, blocks x 2 x heads x size)
    parts = flat.view(1, 3, 4, 2, 8).permute(2, 0, 3, 1, 4).expand(-1, 2, -1, -1, -1)
    cache = DynamicCache()
    for block in range(2):
        cache.update(parts[2 * block].contiguous(), parts[2 * block + 1].contiguous(), block)
    plain = AutoModelForCausalLM.from_pretrained(base.work_dir / "model").eval()
    with torch.no_grad():
        expected = plain(input_ids=IDS, past_key_values=cache, use_cache=True).logits
    torch.testing.assert_close(logits(job.bare), expected, atol=1e-5, rtol=1e-4)
