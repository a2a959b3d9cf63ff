"""An adapter folder made into what other programs load: the plain merged model, or an adapter in PEFT's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpu_jobs.anatomy import ADAPTER_FILES, HEADS
from gpu_jobs.context import Context
from gpu_jobs.engine import adapters, compressed, folders, models
from gpu_jobs.engine.compressed import plain
from gpu_jobs.engine.export import ABOUT
from gpu_jobs.engine.folders import Folder
from gpu_jobs.errors import MethodError, ModelError

TASKS = {"SEQ_CLS": "sequence_classification", "CAUSAL_LM": "causal_lm"}  # by PEFT's names


def export(folder: Path, out: Path, base: Path | None = None, *, peft: bool = False) -> None:
    """Writes `out`: the adapter of `folder` merged into its base by save_pretrained, or as PEFT's; with the tokenizer.

    A compressed model is written with ordinary layers. The base keeps its precision. `base` is looked for where the
    folder says when it is not given. Raises ModelError, also for a method that can't be merged, or that PEFT doesn't
    know.
    """
    if out.exists() and any(out.iterdir()):
        raise ModelError(f"{out} is not empty: name a new folder")
    if compressed.is_compressed(folder) and not peft:
        plain.export(folder, out)
        return
    adapter = Folder(folder, str(folder))
    if not folder.is_dir() or not adapter.is_adapter:
        raise ModelError(f"{folder} is no adapter: it has no {' and no '.join(ADAPTER_FILES)}")
    context = Context(out, out, {} if base is None else {f"{adapter.key}/base": base})
    tokenizer = models.tokenizer_at(folders.with_tokenizer(adapter, context), context)
    with models.explained(adapter):
        adapted = models.adapt(adapter, context, task_of(folder), labels_of(folder), "auto")
        model = as_peft(adapted) if peft else adapters.merge(adapted)
    model.save_pretrained(out)
    if tokenizer is not None:
        tokenizer.save_pretrained(out)


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def task_of(folder: Path) -> str:
    """What the adapter was trained for: as Hone or as PEFT has written it down; a language model where neither has."""
    for name in (ABOUT, adapters.CONFIG):
        if task := _read(folder / name).get("task"):
            return str(task)
    return TASKS.get(_read(folder / "adapter_config.json").get("task_type") or "", "causal_lm")


def labels_of(folder: Path) -> list[str] | None:
    """The classes of a classifier, as Hone has written them down."""
    labels: list[str] | None = _read(folder / ABOUT).get("labels")
    return labels


def as_peft(model: Any) -> Any:
    """The same adapter as PEFT's LoRA, rank by rank, for a method whose change of the weights is B A."""
    import torch
    from peft import LoraConfig, get_peft_model

    layers = adapters.host.adapted(model)
    modules = {layer.module for layer in layers.values()}
    if not modules or not all(hasattr(module, "lora") for module in modules):
        raise MethodError("PEFT doesn't know this adapter: leave --peft out, and it is merged into its base.")
    with torch.no_grad():
        factors = {name: layer.lora() for name, layer in layers.items()}
    is_transposed = any(layer.seen.is_transposed for layer in layers.values())
    ranks = {name: len(a) for name, (a, _) in factors.items()}
    model = adapters.unload(model)
    config = LoraConfig(
        r=max(ranks.values()),
        lora_alpha=max(ranks.values()),
        rank_pattern=ranks,
        alpha_pattern=ranks,
        target_modules=list(ranks),
        fan_in_fan_out=is_transposed,
        modules_to_save=[name for name in HEADS if hasattr(model, name)] or None,
    )
    held: Any = get_peft_model(model, config)
    for name, (a, b) in factors.items():
        layer = held.base_model.model.get_submodule(name)
        layer.lora_A["default"].weight.data.copy_(a)
        layer.lora_B["default"].weight.data.copy_(b)
    return held
