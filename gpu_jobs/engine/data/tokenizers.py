"""Tokenizers of our own: bytes, or a byte-pair encoding trained on the data.

Both are ordinary `PreTrainedTokenizerFast`, saved with the model and read back by `AutoTokenizer`. Their last two
tokens are the end of a text and padding; for masked language modelling the token that masks stands before them.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpu_jobs.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END, PAD, MASK = "<|endoftext|>", "<|pad|>", "<|mask|>"
SMALLEST_BPE = 256 + 2  # every byte, and the two special tokens
TRAINING_CHARACTERS = 4_000_000  # a vocabulary does not change much beyond this, but the time goes on growing


def is_own(tokenizer: Any) -> bool:
    """Whether the argument names one of ours ({"name": "byte"}) or is a tokenizer that a model brought."""
    return isinstance(tokenizer, Mapping)


def identity(tokenizer: Any) -> Any:
    """Plain values that change whenever the tokens of some text would."""
    if is_own(tokenizer):
        return dict(tokenizer)
    backend = tokenizer.backend_tokenizer.to_str()
    return [hashlib.sha256(backend.encode()).hexdigest(), tokenizer.eos_token_id, tokenizer.pad_token_id]


def make(choice: Mapping[str, Any], texts: Iterable[str], *, masks: bool = False) -> PreTrainedTokenizerFast:
    """The tokenizer that `choice` names: {"name": "byte"} or {"name": "bpe", "vocab": 4096}, trained on `texts`.

    With `masks` it has a token that masks others.
    """
    if choice.get("name") == "byte":
        return byte(masks=masks)
    if choice.get("name") == "bpe":
        return train_bpe(texts, int(choice.get("vocab", 4096)), masks=masks)
    raise DataError(f"tokenizer {choice.get('name')!r} is unknown: choose 'byte' or 'bpe'")


def byte(*, masks: bool = False) -> PreTrainedTokenizerFast:
    """Token i is byte i; 256 ends a text, 257 pads. With `masks`, 256 masks and the others are one more."""
    from tokenizers import models

    vocab = {character: byte for byte, character in enumerate(_alphabet())}
    return _wrap(models.BPE(vocab=vocab, merges=[]), masks=masks)


def _alphabet() -> list[str]:
    """The printable character that stands for each byte in byte-level tokenizers (Radford et al. 2019, GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in printable)
    places = {byte: byte for byte in printable} | {byte: 256 + place for place, byte in enumerate(others)}
    return [chr(places[byte]) for byte in range(256)]


def train_bpe(texts: Iterable[str], vocab: int, *, masks: bool = False) -> PreTrainedTokenizerFast:
    """At most `vocab` tokens (fewer when the texts are too short to give that many), special tokens included."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    smallest, special = (SMALLEST_BPE + 1, "three") if masks else (SMALLEST_BPE, "two")
    if vocab < smallest:
        raise DataError(
            f"tokenizer.vocab must be at least {smallest} (all bytes and {special} special tokens): it is {vocab}"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab - smallest + 256, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_bounded(texts), trainer)
    return _wrap(tokenizer.model, masks=masks)


def _bounded(texts: Iterable[str]) -> Iterable[str]:
    left = TRAINING_CHARACTERS
    for text in texts:
        if left <= 0:
            return
        yield text[:left]
        left -= len(text)


def _wrap(model: Any, *, masks: bool) -> PreTrainedTokenizerFast:
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [MASK, END, PAD] if masks else [END, PAD]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **_special(tokenizer))  # type: ignore[no-untyped-call]


def _special(tokenizer: Any) -> dict[str, Any]:
    masking = {} if tokenizer.token_to_id(MASK) is None else {"mask_token": MASK}
    return {"bos_token": END, "eos_token": END, "pad_token": PAD, "clean_up_tokenization_spaces": False, **masking}


def save(tokenizer: PreTrainedTokenizerFast, path: Path) -> None:
    """Writes one of ours, for `read`."""
    tokenizer.backend_tokenizer.save(str(path))


def read(path: Path) -> PreTrainedTokenizerFast:
    """Reads what `save` wrote."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_file(str(path))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **_special(tokenizer))  # type: ignore[no-untyped-call]


class Encoder:
    """Text to token numbers, for packing. Special tokens that are spelled out in the text stay text."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, own: bool) -> None:
        self.tokenizer = tokenizer
        self._own = own
        self._is_byte = own and len(tokenizer) == SMALLEST_BPE + (tokenizer.mask_token_id is not None)
        self.vocab_size = len(tokenizer)
        self._backend = copy.deepcopy(tokenizer.backend_tokenizer)  # the caller's keeps its settings
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = True
        self.dtype = np.dtype(np.uint16 if self.vocab_size <= 2**16 else np.uint32)

    def plain(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        """The tokens of each text and nothing else."""
        if self._is_byte:  # a hundred times quicker than the tokenizer, with the same result
            return [np.frombuffer(text.encode(), np.uint8).astype(self.dtype) for text in texts]
        return self._encode(texts, add_special_tokens=False)

    def marked(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        """The tokens of each text with the begin and end marks that the model expects."""
        if not self._own:
            return self._encode(texts, add_special_tokens=True)
        end = np.array([self.tokenizer.eos_token_id], self.dtype)
        return [np.concatenate([end, ids, end]) for ids in self.plain(texts)]

    def _encode(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[NDArray[Any]]:
        rows = self._backend.encode_batch_fast(list(texts), add_special_tokens=add_special_tokens)
        return [np.array(row.ids, self.dtype) for row in rows]

    def lead(self) -> NDArray[Any]:
        """The tokens that begin a text for this model: for ours none, for others those before the text in `marked`."""
        if self._own:
            return np.empty(0, self.dtype)
        plain, marked = self.plain(["a"])[0], self.marked(["a"])[0]
        places = (place for place, token in enumerate(marked) if token == plain[0])
        return marked[: next(places, 0)]

    def ends_with_mark(self) -> bool:
        """Whether `marked` puts a special token last, which must then survive when a text is cut."""
        return int(self.marked(["a"])[0][-1]) in self.tokenizer.all_special_ids
