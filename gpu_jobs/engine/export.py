"""Writes the final `model/` folder: what `from_pretrained` loads, and a later run can start from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from gpu_jobs.engine import adapters, compressed
from gpu_jobs.engine.adapters import peft
from gpu_jobs.engine.checkpoint import persistent_buffers, whole
from gpu_jobs.engine.optim import is_adapter
from gpu_jobs.sources import HubModel, new_model
from gpu_jobs.spec import Reading, Training

ABOUT = "hone.json"


def gather(model: Any) -> dict[str, Tensor]:
    """Every weight, once, on the CPU: for a model that is shared out over ranks, all of which must call this."""
    return {name: whole(value) for name, value in [*model.named_parameters(), *persistent_buffers(model).items()]}


def save(spec: Training, model: Any, weights: dict[str, Tensor] | None, tokenizer: Any, work_dir: Path) -> Path:
    """Writes `model/` with save_pretrained (PEFT's, for an adapter), the tokenizer and `hone.json`; returns it."""
    write = partial(_save_adapter, spec, model, weights) if is_adapter(spec) else None
    return publish(work_dir, model, tokenizer, about(spec) | labels(spec, model), write, weights)


def publish(
    work_dir: Path,
    model: Any,
    tokenizer: Any,
    told: dict[str, Any],
    write: Callable[[Path], None] | None = None,
    weights: dict[str, Tensor] | None = None,
) -> Path:
    """Writes `model/` under another name, and gives it its own when complete; `told` is `hone.json`."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    hidden, final = work_dir / ".model", work_dir / "model"
    if told["task"] == "causal_lm":
        model.config.use_cache = True  # training has turned it off; whoever loads the model wants it
    shutil.rmtree(hidden, ignore_errors=True)
    if write is None:
        compressed.save(model, hidden, weights)
    else:
        write(hidden)
    if tokenizer is not None:
        tokenizer.save_pretrained(hidden)
    (hidden / ABOUT).write_text(json.dumps(told, indent=2) + "\n")
    shutil.rmtree(final, ignore_errors=True)
    hidden.rename(final)
    return final


def _save_adapter(spec: Training, model: Any, weights: dict[str, Tensor] | None, folder: Path) -> None:
    """The adapter, in PEFT's format where PEFT holds it; a base that is nowhere else (random weights) goes along."""
    if adapters.is_peft(model):
        base = spec.model.id if isinstance(spec.model, HubModel) else "base"
        peft.save(folder, model, weights, base)
    else:
        added = None if weights is None else {name: weights[name] for name in adapters.added(model)}
        adapters.save(
            folder, model, spec.method.model_dump(mode="json"), task=spec.resolved_task, seed=spec.seed, tensors=added
        )
    if new_model(spec.model):
        base = adapters.unload(model)
        base.save_pretrained(folder / "base")


def about(spec: Training) -> dict[str, Any]:
    """What the folder is: kind, task, method, and for an adapter the base it stands on."""
    base = spec.model.reference() or spec.model.model_dump() if is_adapter(spec) else None
    return {"kind": spec.kind, "task": spec.resolved_task, "method": spec.method.name, "base": base}


def labels(spec: Reading, model: Any) -> dict[str, Any]:
    """The classes of a classifier, which an adapter's folder names nowhere else."""
    if spec.resolved_task == "causal_lm":
        return {}
    return {"labels": [model.config.id2label[number] for number in sorted(model.config.id2label)]}


def stored_bytes(folder: Path) -> int:
    """Size of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
