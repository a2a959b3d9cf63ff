"""One layer with an adapter on it, and whole runs, for the tests of single methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from gpu_jobs import registry, shapes
from gpu_jobs.__main__ import main
from gpu_jobs.engine import adapters
from gpu_jobs.engine.adapters import host
from tests.gpu_jobs.methods.test_lora import build
from tests.gpu_jobs.training import Bench, Outcome


def knobs_of(name: str, **knobs: Any) -> Any:
    """The knobs of an adapter, as a spec would give them."""
    return registry.methods("adapters")[name].knobs(name=name, **knobs)


def on(layer: nn.Module, name: str, seed: int = 0, **knobs: Any) -> host.AdaptedLayer:
    """The layer with this method on it."""
    model = nn.Sequential(layer)
    chosen = knobs_of(name, **knobs)
    host.attach(chosen, registry.method_of(chosen).module, model, ["0"], seed)
    return host.adapted(model)["0"]


def shaken(layer: host.AdaptedLayer, seed: int = 1, std: float = 0.3) -> host.AdaptedLayer:
    """With trained values that are no longer those of the beginning."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in layer.values.parameters():
            value.add_(torch.randn(value.shape, generator=generator) * std)
    return layer


def trained(layer: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(value.numel() for value in layer.parameters() if value.requires_grad)


def merged_distance(layer: host.AdaptedLayer, x: Tensor) -> float:
    """How far the merged layer's output is from the adapter's."""
    with torch.no_grad():
        expected = layer(x)
        layer.merge()
        return float((layer(x) - expected).abs().max())


def planned_and_built(architecture: str, name: str, **knobs: Any) -> tuple[int, int, Any]:
    """What the plan counts as trained, what is, and the model; without the head."""
    model = build(architecture)
    anatomy = adapters.anatomy_of(model, "causal_lm")
    chosen = knobs_of(name, **knobs)
    planned = shapes.count(registry.method_of(chosen).module.sizes(chosen, anatomy) | anatomy.head())
    adapted = adapters.attach(chosen, model, task="causal_lm", seed=0)
    return planned, trained(adapted), adapted


def finetune(bench: Bench, folder: Path, changes: Mapping[str, Any], **options: Any) -> Outcome:
    """A run on the model of this folder."""
    spec = {"kind": "finetune", "model": {"source": "run", "run": 1}, **changes}
    return bench.run(spec, inputs={"run:1": folder}, **options)


def pruned(bench: Bench, base: Outcome) -> Path:
    """The base with the smaller half of every matrix of its blocks set to zero."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = bench.root / "pruned"
    if folder.exists():
        return folder
    model = AutoModelForCausalLM.from_pretrained(base.work_dir / "model")
    for name, value in model.named_parameters():
        if "layers" in name and value.ndim == 2:
            value.data[value.abs() <= value.abs().median()] = 0
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base.work_dir / "model").save_pretrained(folder)
    return folder


def exported(run: Outcome, base: Path, *options: str) -> Path:
    """The run's adapter merged into its base, in a folder of its own."""
    out = run.work_dir / "exported"
    assert main(["export", str(run.work_dir / "model"), str(out), "--base", str(base), *options]) == 0
    return out


def zeros(folder: Path) -> dict[str, Tensor]:
    """Where the stored matrices of a model's blocks are zero."""
    weights = load_file(folder / "model.safetensors")
    return {name: value == 0 for name, value in weights.items() if "layers" in name and value.ndim == 2}
