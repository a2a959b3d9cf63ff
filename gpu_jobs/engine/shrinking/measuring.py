"""What a model costs: measured before, and on the file that was read back."""

from __future__ import annotations

import copy
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from gpu_jobs import cost
from gpu_jobs.engine import folders
from gpu_jobs.engine.optim import own_parameters
from gpu_jobs.engine.shrinking import kernels
from gpu_jobs.engine.shrinking.change import Change
from gpu_jobs.engine.shrinking.saving import weights
from gpu_jobs.engine.shrinking.subject import Subject
from gpu_jobs.sources import PathModel, RunModel

REPEATS, WARM_UPS = 5, 2


def dense(subject: Subject) -> dict[str, Any]:
    """The model as it came: parameters, bytes, FLOPs and latency."""
    own = own_parameters(subject.bare)
    return {
        "parameters": sum(value.numel() for value in own.values()),
        "bytes": _bytes_before(subject) or sum(value.numel() * value.element_size() for value in own.values()),
        "flops": flops(subject),
        "latency_s": latency(subject),
    }


def _bytes_before(subject: Subject) -> int:
    """The weights' files that it came from, 0 where it did not come from a whole model's folder."""
    if not isinstance(subject.spec.model, RunModel | PathModel):
        return 0
    folder = folders.find(subject.spec.model, subject.context)
    return 0 if folder.is_adapter else _bytes(folder.path)


def final(subject: Subject, change: Change, before: dict[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """What the result says, and the same as metrics. The model is the one that was read back."""
    own = own_parameters(subject.bare)
    total = change.facts.get("values") or sum(value.numel() for value in own.values())
    nonzero = total - sum(int((value == 0).sum()) for value in own.values() if value.ndim >= 2)
    stored = stored_bytes(subject)
    sparsity = measured(subject, change, before, nonzero)
    values = {
        "sparsity": sparsity,
        "bytes": {"dense": before["bytes"], "stored": stored},
        "bits_per_parameter": 8 * stored / before["parameters"],
        "parameters": {
            "total": total, "nonzero": nonzero, "dense": before["parameters"], "trainable": 0,
            "trained": change.facts.get("trained", 0),
        },
        "flops": {
            "dense": before["flops"],
            "stored": change.facts.get("flops", flops(subject)),
            "formula": cost.FORWARD,
        },
        "latency": {
            "dense_s": before["latency_s"], "stored_s": latency(subject), "samples": 1,
            "tokens": subject.spec.sequence_length, "device": subject.device.type,
            **_on_kernels(subject, change),
        },
        **change.facts.get("result", {}),
    }  # fmt: skip
    told = {"size/stored_bytes": float(stored), "size/nonzero_parameters": float(nonzero)}
    return values, told | ({"sparsity/measured": sparsity["measured"]} if sparsity else {})


def measured(subject: Subject, change: Change, before: dict[str, Any], nonzero: int) -> dict[str, Any] | None:
    """The sparsity of each pruned layer and of all, from the weights as stored; None where none was asked for."""
    if change.target is None:
        return None
    zeros = {name: int((weights(subject, name) == 0).sum()) for name in change.masks}
    sizes = {name: mask.numel() for name, mask in change.masks.items()}
    layers = {name: zeros[name] / sizes[name] for name in zeros} | change.shares
    whole = 1 - nonzero / before["parameters"]
    return {
        "target": change.target,
        "measured": sum(zeros.values()) / sum(sizes.values()) if sizes else change.facts.get("removed", whole),
        "whole": whole,
        "pattern": change.pattern,
        "layers": layers,
    }


def stored_bytes(subject: Subject) -> int:
    """The weights' files."""
    return _bytes(subject.context.work_dir / "model")


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def flops(subject: Subject) -> int | None:
    """Of one sample's forward; None for an architecture that is not known."""
    found = cost.plan_evaluation(subject.spec, subject.config).flops["per_step"]
    return None if not isinstance(found, int) else found // subject.spec.batch_size


def _on_kernels(subject: Subject, change: Change) -> dict[str, float]:
    """In bfloat16, dense and by the 2:4 kernels, where this device has them and the layers fit."""
    if not kernels.has_sparse_kernels(subject.device):
        return {}
    subject.bare.to(subject.device)
    held = kernels.sparse(subject.bare, change)
    if held is None:
        return {}
    plain = copy.deepcopy(subject.bare).to(torch.bfloat16)
    return {"dense_bf16_s": _median(subject, plain), "sparse_bf16_s": _median(subject, held)}


def latency(subject: Subject) -> float:
    """Seconds of one sample's forward on this device: the median of several, warm."""
    return _median(subject, subject.bare.to(subject.device).eval())


@torch.no_grad()
def _median(subject: Subject, model: Any) -> float:
    batch = {name: value[:1].to(subject.device) for name, value in subject.sample().items() if name != "labels"}
    times = []
    for _ in range(WARM_UPS + REPEATS):
        begun = time.perf_counter()
        model(**batch)
        if subject.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[WARM_UPS:])
