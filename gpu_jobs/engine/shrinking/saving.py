"""The smaller model as a file, and back."""

from __future__ import annotations

from typing import Any

import torch

from gpu_jobs.engine import export, models
from gpu_jobs.engine.shrinking.change import Change
from gpu_jobs.engine.shrinking.subject import Subject


def enforce(subject: Subject, change: Change) -> dict[str, Any] | None:
    """Masks again what a merged adapter has filled. Returns what that cost, None where nothing was filled."""
    filled = {
        name: int(weights(subject, name)[~mask.to(subject.device)].count_nonzero())
        for name, mask in on(subject, change)
    }
    if not sum(filled.values()):
        return None
    before = subject.judge()
    for name, mask in on(subject, change):
        _mask(subject, name, mask)
    return {"entries": sum(filled.values()), "before": before, "after": subject.judge()}


def on(subject: Subject, change: Change) -> list[tuple[str, torch.Tensor]]:
    """The masks, with the model on its device."""
    subject.bare.to(subject.device)
    return list(change.masks.items())


def weights(subject: Subject, name: str) -> torch.Tensor:
    """(out, in) of a layer, a view of its weight."""
    from transformers.pytorch_utils import Conv1D

    layer = subject.bare.get_submodule(name)
    found: torch.Tensor = layer.weight.detach()
    return found.T if isinstance(layer, Conv1D) else found.flatten(1)


def _mask(subject: Subject, name: str, mask: torch.Tensor) -> None:
    with torch.no_grad():
        weights(subject, name).mul_(mask.to(subject.device))


def save(subject: Subject, change: Change) -> None:
    """Writes `model/` and `masks.safetensors`; the subject's model is what was read back."""
    from gpu_jobs.engine.pruning import masks  # which is built on this package

    spec, work_dir = subject.spec, subject.context.work_dir
    subject.bare.to("cpu")
    about = {"kind": spec.kind, "task": spec.resolved_task, "method": spec.method.name, "base": None}
    export.publish(work_dir, subject.bare, subject.data.tokenizer, about | export.labels(spec, subject.bare))
    if change.masks:
        masks.save(change.masks, work_dir / "masks.safetensors")
    subject.bare = models.read_folder(
        work_dir / "model", subject.context, spec.resolved_task, subject.data.labels
    ).requires_grad_(False)
    subject.bare.config.use_cache = False
    subject.bare.eval()
