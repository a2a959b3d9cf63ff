"""Text that a model writes after prompts: for objectives that judge it, and for evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpu_jobs.errors import MethodError

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; temperature 0 takes the likeliest."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0


@dataclass(frozen=True)
class Written:
    """What came after the prompts: int64 (batch, new tokens), and where it counts, the end mark included."""

    ids: Tensor
    mask: Tensor

    def texts(self, tokenizer: Any) -> list[str]:
        """Without padding and marks."""
        rows = [row[kept].tolist() for row, kept in zip(self.ids, self.mask.bool(), strict=True)]
        return [tokenizer.decode(row, skip_special_tokens=True) for row in rows]


@torch.no_grad()
def write(model: Any, tokenizer: Any, prompts: Batch, sampling: Sampling) -> Written:
    """Continues left-padded prompts ("input_ids" and "attention_mask"). Sampling draws from the process's generator.

    Raises MethodError for a model that can't generate.
    """
    if not hasattr(model, "generate"):
        raise MethodError(f"a {type(model).__name__} can't write text: choose a causal language model.")
    was, ids = model.training, prompts["input_ids"]
    model.eval()
    chosen = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    found = model.generate(
        input_ids=ids,
        attention_mask=prompts["attention_mask"],
        max_new_tokens=sampling.max_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
        **(chosen if sampling.temperature else {"do_sample": False}),
    )
    model.train(was)
    new = found[:, ids.shape[1] :]
    return Written(new, _before_end(new, tokenizer.eos_token_id))


def _before_end(ids: Tensor, end: int | None) -> Tensor:
    """1 up to and with the first end mark, 0 after it."""
    if end is None:
        return torch.ones_like(ids)
    ended = (ids == end).long().cumsum(-1)
    return ((ended - (ids == end).long()) == 0).long()


def whole(prompts: Batch, written: Written) -> Batch:
    """Prompts with what was written as a batch of a causal model; labels count the written tokens alone."""
    mask = torch.cat([prompts["attention_mask"], written.mask], 1)
    labels = torch.where(written.mask.bool(), written.ids, -100)
    return {
        "input_ids": torch.cat([prompts["input_ids"], written.ids], 1),
        "attention_mask": mask,
        "position_ids": (mask.cumsum(-1) - 1).clamp(min=0),
        "labels": torch.cat([torch.full_like(prompts["input_ids"], -100), labels], 1),
    }
