"""The loss of a batch, as a sum over its targets, so that parts of a batch add up exactly to the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gpu_jobs.errors import MethodError

Batch = dict[str, Tensor]
IGNORED = -100  # a target that does not count, as in transformers


def is_shifted(batch: Batch) -> bool:
    """Whether each token's target is the next one; otherwise a target stands where its token or sample does."""
    return "labels" in batch and batch["labels"].ndim == 2


def targets(batch: Batch) -> Tensor:
    """int64 (targets,): next tokens ("labels" of two dimensions), tokens in their own place ("targets"), or classes."""
    if "targets" in batch:
        return batch["targets"].reshape(-1)
    labels = batch["labels"]
    return labels[:, 1:].reshape(-1) if is_shifted(batch) else labels


def logits_of(model: nn.Module, batch: Batch) -> Tensor:
    """(batch, tokens, vocabulary) or (batch, classes); those of virtual tokens that stand before the text left out."""
    inputs: dict[str, Any] = {name: value for name, value in batch.items() if name not in ("labels", "targets")}
    logits: Tensor = model(**inputs).logits
    return logits[:, -batch["input_ids"].shape[1] :] if logits.ndim == 3 else logits


def scores(model: nn.Module, batch: Batch) -> Tensor:
    """float32 (targets, vocabulary or classes)."""
    logits = logits_of(model, batch)
    if is_shifted(batch):
        logits = logits[:, :-1]
    return (logits.flatten(0, 1) if logits.ndim == 3 else logits).float()


def loss_sum(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy summed over the targets, in nats."""
    return F.cross_entropy(scores(model, batch), targets(batch), reduction="sum", ignore_index=IGNORED)


def compiled(loss_sum: Callable[[nn.Module, Batch], Tensor]) -> Callable[[nn.Module, Batch], Tensor]:
    """A loss through torch.compile. It raises MethodError when called where torch can't compile it."""
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InductorError

    fast = torch.compile(loss_sum)

    def run(model: nn.Module, batch: Batch) -> Tensor:
        try:
            return fast(model, batch)
        except (TorchDynamoException, InductorError) as error:
            cause = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise MethodError(f"compile must be off here: torch.compile can't compile this model ({cause}).") from error

    return run


def count(batch: Batch) -> int:
    """Targets that count; call it while the batch is on the CPU."""
    return int((targets(batch) != IGNORED).sum())


def token_count(batch: Batch, positions: int) -> int:
    """Tokens that the model works on; `positions` is what it makes of an image."""
    return batch["input_ids"].numel() if "input_ids" in batch else len(batch["labels"]) * positions


@torch.no_grad()
def judge(model: nn.Module, batch: Batch) -> Tensor:
    """float64 (3,): loss sum, correct targets and targets of a batch."""
    predicted, wanted = scores(model, batch), targets(batch)
    loss = F.cross_entropy(predicted, wanted, reduction="sum", ignore_index=IGNORED)
    counts = wanted != IGNORED
    correct = (predicted.argmax(-1) == wanted) & counts
    return torch.stack([loss.double(), correct.sum().double(), counts.sum().double()])
