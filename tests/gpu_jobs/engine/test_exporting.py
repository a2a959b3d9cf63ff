"""`python -m gpu_jobs export`: adapters of every origin as plain folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gpu_jobs.__main__ import main
from gpu_jobs.engine import adapters
from tests.gpu_jobs.training import LORA, Bench, Outcome, distance

IDS = torch.arange(32).reshape(2, 16)
OURS = {"name": "svfit", "rank": 4, "targets": "all"}


def tune(bench: Bench, base: Outcome, method: dict[str, Any]) -> Path:
    changes = {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": method}
    return bench.run(changes, inputs={"run:1": base.work_dir / "model"}).work_dir / "model"


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=IDS).logits
    return found


def adapted(folder: Path, base: Path) -> Any:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(base)
    if (folder / adapters.CONFIG).exists():
        return adapters.load(folder, plain)
    return PeftModel.from_pretrained(plain, folder)


@pytest.mark.parametrize("method", [LORA, OURS], ids=["peft", "ours"])
def test_the_exported_folder_is_a_plain_model_with_a_tokenizer(
    bench: Bench, base: Outcome, method: dict[str, Any], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, plain = tune(bench, base, method), base.work_dir / "model"
    assert main(["export", str(folder), str(tmp_path / "out"), "--base", str(plain)]) == 0
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    expected = logits(adapted(folder, plain))
    assert distance({"": logits(merged)}, {"": expected}) < 1e-5
    assert distance({"": logits(merged)}, {"": logits(AutoModelForCausalLM.from_pretrained(plain))}) > 1e-4
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("ab").input_ids == [97, 98]
    assert not (tmp_path / "out" / "adapter_config.json").exists()


def test_the_base_is_found_where_the_folder_has_it(bench: Bench, tmp_path: Path) -> None:
    run = bench.run({"kind": "finetune", "method": OURS})  # a base of random weights travels along
    assert main(["export", str(run.work_dir / "model"), str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_a_base_in_half_precision_stays_so(bench: Bench, base: Outcome, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = tune(bench, base, OURS)
    half = AutoModelForCausalLM.from_pretrained(base.work_dir / "model", dtype=torch.bfloat16)
    half.save_pretrained(tmp_path / "half")
    assert main(["export", str(folder), str(tmp_path / "out"), "--base", str(tmp_path / "half")]) == 0
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert {value.dtype for value in loaded.parameters()} == {torch.bfloat16}


def test_a_classifier_keeps_its_head_and_the_names_of_its_classes(bench: Bench, tmp_path: Path) -> None:
    from transformers import AutoModelForImageClassification

    vit = {"source": "config", "architecture": "vit", "layers": 2, "width": 16, "heads": 2}
    data = {"source": "builtin", "name": "digits"}
    run = bench.run({"kind": "finetune", "model": vit, "data": data, "method": OURS})
    folder = run.work_dir / "model"
    assert main(["export", str(folder), str(tmp_path / "out")]) == 0
    merged = AutoModelForImageClassification.from_pretrained(tmp_path / "out")
    assert [merged.config.id2label[number] for number in range(10)] == run.facts["data"]["labels"]
    plain = AutoModelForImageClassification.from_pretrained(folder / "base")
    image = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        expected = adapters.load(folder, plain).eval()(pixel_values=image).logits
        torch.testing.assert_close(merged.eval()(pixel_values=image).logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("prepare", "complaint"),
    [
        (lambda folder, out: out.mkdir() or (out / "file").touch(), "is not empty"),
        (lambda folder, out: (folder / "hone_adapter.json").unlink(), "is no adapter"),
    ],
)
def test_a_wrong_folder_is_one_sentence(
    bench: Bench, base: Outcome, prepare: Any, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tune(bench, base, OURS)
    prepare(folder, tmp_path / "out")
    assert main(["export", str(folder), str(tmp_path / "out"), "--base", str(base.work_dir / "model")]) == 2
    assert complaint in capsys.readouterr().err


def test_a_method_that_peft_does_not_know_says_so(
    bench: Bench, base: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, plain = tune(bench, base, {"name": "mask_lora"}), str(base.work_dir / "model")
    assert main(["export", str(folder), str(tmp_path / "out"), "--base", plain, "--peft"]) == 2
    assert "PEFT doesn't know this adapter" in capsys.readouterr().err
