"""Dynamic masking: other tokens are hidden each time a sample is read.

Of all tokens that are not special a share is chosen, each by itself. The model has to name the chosen ones; 80 % of
them are replaced by the mask, 10 % by a token at random, and 10 % stay as they are (Devlin et al. 2019, "BERT:
Pre-training of Deep Bidirectional Transformers", section 3.1). A random token is never a special one, which the paper
leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpu_jobs.errors import DataError

if TYPE_CHECKING:
    from torch import Generator, Tensor

PAPER = "https://arxiv.org/abs/1810.04805"
MASKED, REPLACED = 0.8, 0.1  # of those that are chosen
IGNORED = -100


def mask(
    ids: Tensor, special: Sequence[int], mask_id: int, vocab: int, share: float, generator: Generator | None = None
) -> tuple[Tensor, Tensor]:
    """(input_ids, labels) like `ids`, int64 of any shape; labels are -100 where nothing is to be predicted.

    `special` are the tokens that are never chosen and never put in, `vocab` is the number of tokens. The generator must
    be on the device of `ids`. Raises DataError when there is no token but special ones.
    """
    import torch

    ordinary = torch.ones(vocab, dtype=torch.bool, device=ids.device)
    ordinary[torch.tensor([*special, mask_id], device=ids.device)] = False
    words = ordinary.nonzero().flatten()
    if not len(words):
        raise DataError(f"all {vocab} tokens are special: there is nothing to mask; choose another tokenizer")
    chance, fate = (torch.rand(ids.shape, generator=generator, device=ids.device) for _ in range(2))
    drawn = words[torch.randint(len(words), ids.shape, generator=generator, device=ids.device)]
    chosen = ordinary[ids] & (chance < share)
    labels = ids.masked_fill(~chosen, IGNORED)
    inputs = ids.masked_fill(chosen & (fate < MASKED), mask_id)
    return torch.where(chosen & (fate >= MASKED) & (fate < MASKED + REPLACED), drawn, inputs), labels
