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


def masked(batch: Batch, tokenizer: Any, share: float, *, training: bool) -> Batch:
    """The batch with hidden tokens and "targets" in their places; drawn anew in training, else by the content."""
    from gpu_jobs.engine.data.masking import mask

    ids = batch["input_ids"]
    generator = None if training else torch.Generator().manual_seed(int(ids.sum()))
    inputs, wanted = mask(ids, tokenizer.all_special_ids, tokenizer.mask_token_id, len(tokenizer), share, generator)
    rest = {name: value for name, value in batch.items() if name != "labels"}
    return rest | {"input_ids": inputs, "targets": wanted}


def outputs(model: nn.Module, batch: Batch, *, hidden: bool = False) -> Any:
    """What the model says of the batch's inputs; with the hidden states of every layer when they are asked for."""
    inputs: dict[str, Any] = {name: value for name, value in batch.items() if name not in ("labels", "targets")}
    return model(**inputs, **({"output_hidden_states": True} if hidden else {}))


def own_logits(found: Any, batch: Batch) -> Tensor:
    """(batch, tokens, vocabulary) or (batch, classes); those of virtual tokens that stand before the text left out."""
    logits: Tensor = found.logits
    return logits[:, -batch["input_ids"].shape[1] :] if logits.ndim == 3 else logits


def logits_of(model: nn.Module, batch: Batch) -> Tensor:
    """The logits that the model gives the batch's tokens, or its samples."""
    return own_logits(outputs(model, batch), batch)


def flat(found: Any, batch: Batch) -> Tensor:
    """float32 (targets, vocabulary or classes) of a model's outputs."""
    logits = own_logits(found, batch)
    if is_shifted(batch):
        logits = logits[:, :-1]
    return (logits.flatten(0, 1) if logits.ndim == 3 else logits).float()


def scores(model: nn.Module, batch: Batch) -> Tensor:
    """float32 (targets, vocabulary or classes)."""
    return flat(outputs(model, batch), batch)


def loss_sum(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy summed over the targets, in nats; in training with the model's own auxiliary loss, if any."""
    found = outputs(model, batch)
    loss = F.cross_entropy(flat(found, batch), targets(batch), reduction="sum", ignore_index=IGNORED)
    return loss + auxiliary_sum(model, found, batch)


def auxiliary_sum(model: nn.Module, found: Any, batch: Batch) -> Tensor | float:
    """What `methods/architectures` calls auxiliary_loss, a mean over the batch, as a sum over its targets.

    0 outside of training, and for models without. Not transformers' `aux_loss`, which carries no weight.
    """
    mean: Tensor | None = getattr(found, "auxiliary_loss", None)
    return 0.0 if mean is None or not model.training else mean * (targets(batch) != IGNORED).sum()


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


def token_log_probs(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, tokens - 1) the log-probability of each next token, 0 where it doesn't count, and where it counts."""
    wanted = labels[:, 1:]
    counts = wanted != IGNORED
    chosen = logits[:, :-1].float().log_softmax(-1).gather(-1, wanted.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return chosen * counts, counts


def count(batch: Batch) -> int:
    """Targets that count; call it while the batch is on the CPU."""
    return int((targets(batch) != IGNORED).sum())


def token_count(batch: Batch, positions: int) -> int:
    """Tokens that the model works on; `positions` is what it makes of an image."""
    return batch["input_ids"].numel() if "input_ids" in batch else len(batch["labels"]) * positions


@torch.no_grad()
def judge(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The sum of the loss, the correct targets and the targets ("count") of a batch, in float64.

    Of classes also the "confusion" (classes, classes): how often each, in the rows, was taken for each.
    """
    predicted, wanted = scores(model, batch), targets(batch)
    loss = F.cross_entropy(predicted, wanted, reduction="sum", ignore_index=IGNORED)
    counts = wanted != IGNORED
    correct = (predicted.argmax(-1) == wanted) & counts
    judged = {"loss": loss.double(), "correct": correct.sum().double(), "count": counts.sum().double()}
    if "labels" in batch and batch["labels"].ndim == 1:
        classes = predicted.shape[-1]
        cells = torch.bincount(wanted * classes + predicted.argmax(-1), minlength=classes**2)
        judged["confusion"] = cells.view(classes, classes).double()
    return judged
