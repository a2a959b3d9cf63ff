"""Fewer tokens: the rows of tokens that a text does not use leave the tables, and the tokenizer.

    kept   = tokens seen `min_count` times in the calibration's samples, what they are merged from, every single
             character, and special tokens
    E' = E[kept],  the output layer alike; ids are numbered anew

(Vocabulary trimming; as MAFT cuts the scripts that it does not need: Alabi et al. 2022, "Adapting pre-trained language
models to African languages via multilingual adaptive fine-tuning".) A text of kept tokens is cut as before and gets the
same logits for them; any other is still written, with more and shorter tokens. The loss is then over another number of
tokens: "tokens" in the result tells of how many. Only for byte-pair tokenizers and language models; the folder is an
ordinary one. Give it samples enough: a token that none of them holds is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.compressible import Done
from gpu_jobs.errors import MethodError

if TYPE_CHECKING:
    from gpu_jobs.engine.shrinking import Subject

PAPER = "https://arxiv.org/abs/2204.06487"
RETRAINS = "nothing"


class Knobs(registry.Knobs):
    name: Literal["vocab_prune"]
    min_count: int = Field(1, ge=1, le=1_000_000_000, description="Occurrences that keep a token.")


def check(knobs: Knobs, anatomy: Anatomy) -> None:
    """Raises MethodError for a model that doesn't write text."""
    if anatomy.task != "causal_lm":
        raise MethodError(f"vocab_prune is for language models (causal_lm), not for {anatomy.task}.", "method")


def compress(knobs: Knobs, subject: Subject) -> Done:
    """Cuts the tables, and reads the data again with the smaller tokenizer."""
    import torch

    from gpu_jobs.engine.compressing import vocabulary

    tokenizer, before = subject.data.tokenizer, subject.bare.config.vocab_size
    ids = torch.cat([batch["input_ids"].flatten() for batch in subject.batches()])
    counts = ids.bincount(minlength=before)
    kept = vocabulary.needed(tokenizer, (counts >= knobs.min_count).nonzero().flatten().tolist())
    if len(kept) >= before:
        raise MethodError(f"every one of the {before:,} tokens is needed: there is nothing to leave out.", "method")
    vocabulary.cut(subject.bare, kept)
    tokens = {"before": subject.data.tokens}
    subject.read_with(vocabulary.smaller(tokenizer, kept))
    tokens["after"] = subject.data.tokens
    return Done({}, {"vocabulary": {"before": before, "after": len(kept)}, "tokens": tokens})
