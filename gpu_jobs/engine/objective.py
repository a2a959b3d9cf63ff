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
    """Whether each token's target is the next one; otherwise there is one target a sample."""
    return batch["labels"].ndim == 2


def targets(batch: Batch) -> Tensor:
    """int64 (targets,): next tokens, or classes."""
    labels = batch["labels"]
    return labels[:, 1:].reshape(-1) if is_shifted(batch) else labels


def scores(model: nn.Module, batch: Batch) -> Tensor:
    """float32 (targets, vocabulary or classes)."""
    inputs: dict[str, Any] = {name: value for name, value in batch.items() if name != "labels"}
    logits: Tensor = model(**inputs).logits  # (batch, tokens, vocabulary) or (batch, classes)
    if is_shifted(batch):
        logits = logits[:, :-1].flatten(0, 1)
    return logits.float()


def loss_sum(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy summed over the targets, in nats."""
    return F.cross_entropy(scores(model, batch), targets(batch), reduction="sum", ignore_index=IGNORED)


def compiled() -> Callable[[nn.Module, Batch], Tensor]:
    """`loss_sum` through torch.compile. It raises MethodError when called where torch can't compile it."""
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
