"""What holds for every compressor: a smaller file, the same from the same seed, judged as it is read back."""

from __future__ import annotations

from typing import Any

import pytest
from safetensors.torch import load_file

from gpu_jobs import registry
from gpu_jobs.engine import compressed
from gpu_jobs.events import Result
from tests.gpu_jobs.kinds.test_compress import RETRAIN, compress, later
from tests.gpu_jobs.training import Bench, Outcome, same

METHODS = sorted(registry.methods("compressors"))
SMALL: dict[str, Any] = {"stable_rps": {"block": 8}, "foldgpt": {"drop": 0.5}}  # of the base's sixteen wide layers


@pytest.fixture(scope="module")
def worded(bench: Bench) -> Outcome:
    """A base with more tokens than a few samples use."""
    return bench.run({"tokenizer": {"name": "bpe", "vocab": 400}})


def asked(name: str) -> dict[str, Any]:
    learning = {"learning": RETRAIN} if hasattr(registry.methods("compressors")[name].module, "Hooks") else {}
    return {"method": {"name": name} | SMALL.get(name, {}), **learning}


@pytest.mark.parametrize("name", METHODS)
def test_the_file_is_smaller_and_what_it_was_said_to_be(bench: Bench, worded: Outcome, name: str) -> None:
    run, twin = (compress(bench, worded, asked(name)) for _ in range(2))
    assert isinstance(run.last, Result), run.last
    values, folder = run.last.values, run.work_dir / "model"
    (file,) = folder.glob("*.safetensors")
    assert same(load_file(file), load_file(twin.work_dir / "model" / file.name))
    assert file.stat().st_size == values["bytes"]["stored"] < values["bytes"]["dense"]
    assert values["bits_per_parameter"] == 8 * file.stat().st_size / values["parameters"]["dense"]
    assert values["parameters"]["total"] == compressed.values(compressed.load(folder))
    last = values["quality"]["recovered"] or values["quality"]["pruned"]
    again = later(bench, run, {"kind": "evaluate"}).last.values["quality"]["eval/loss"]
    assert again == last["eval/loss"] == run.series("eval/loss")[max(run.series("eval/loss"))]


@pytest.mark.parametrize("name", METHODS)
def test_its_file_says_what_it_does(name: str) -> None:
    method = registry.methods("compressors")[name]
    assert method.paper and method.doc and hasattr(method.module, "compress")
    assert all(field.description for knob, field in method.knobs.model_fields.items() if knob != "name")
    assert getattr(method.module, "RETRAINS", "anything") in ("anything", "weights", "adapters", "nothing")
    assert getattr(method.module, "NEEDS", "outputs") == "outputs"
