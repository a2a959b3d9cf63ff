"""A tokenizer of byte pairs with fewer tokens, and the model's tables with as many fewer rows.

A token that is kept keeps those that it is merged from, so that a text whose tokens are all kept is cut as before:
every merge that led to them is still there, in the same order, and fewer others compete.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gpu_jobs.errors import MethodError

_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "mask_token_id")


def needed(tokenizer: Any, seen: Iterable[int]) -> list[int]:
    """Ids to keep, in order: those seen, what they are merged from, single characters and special tokens.

    Raises MethodError for a tokenizer that is not one of byte pairs.
    """
    model = _read(tokenizer)["model"]
    vocab: dict[str, int] = model["vocab"]
    names = {number: token for token, number in vocab.items()}
    parts: dict[str, list[tuple[str, str]]] = {}
    for pair in _merges(model):
        parts.setdefault("".join(pair), []).append(pair)
    kept = {token for token in vocab if token not in parts}
    waiting = [names[number] for number in seen if number in names]
    while waiting:
        token = waiting.pop()
        if token not in kept:
            kept.add(token)
            waiting += [part for pair in parts[token] for part in pair]
    added = set(tokenizer.get_added_vocab().values())
    return sorted({vocab[token] for token in kept} | added)


def _read(tokenizer: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    kind = found["model"].get("type")
    if kind != "BPE":
        raise MethodError(f"vocab_prune needs a tokenizer of byte pairs (BPE), and this model's is {kind}.", "method")
    return found


def _merges(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """In either form in which they are written."""
    pairs = [each.split(" ") if isinstance(each, str) else each for each in model["merges"]]
    return [(first, second) for first, second in pairs]


def smaller(tokenizer: Any, kept: list[int]) -> Any:
    """The tokenizer with these tokens alone, numbered anew in their order."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    number = {old: new for new, old in enumerate(kept)}
    found = _read(tokenizer)
    model, pairs = found["model"], _merges(found["model"])
    vocab = {token: number[old] for token, old in model["vocab"].items() if old in number}
    model["vocab"] = vocab
    model["merges"] = [[a, b] for a, b in pairs if {a, b, a + b} <= vocab.keys()]
    for token in found["added_tokens"]:
        token["id"] = number[token["id"]]
    for special in ((found.get("post_processor") or {}).get("special_tokens") or {}).values():
        special["ids"] = [number[old] for old in special["ids"]]
    made: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(found)), model_max_length=tokenizer.model_max_length,
        padding_side=tokenizer.padding_side, **tokenizer.special_tokens_map,
        clean_up_tokenization_spaces=bool(getattr(tokenizer, "clean_up_tokenization_spaces", False)),
    )  # fmt: skip
    made.chat_template = getattr(tokenizer, "chat_template", None)
    return made


def cut(model: Any, kept: list[int]) -> None:
    """Leaves these rows of the model's table and output layer; weights that were tied stay so."""
    rows = torch.tensor(kept, device=model.device)
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    is_tied = head is not None and head.weight is table.weight
    table.weight = _rows(table.weight, rows)
    table.num_embeddings = len(kept)
    if table.padding_idx is not None:
        table.padding_idx = kept.index(table.padding_idx) if table.padding_idx in kept else None
    if head is not None:
        head.weight = table.weight if is_tied else _rows(head.weight, rows)
        head.out_features = len(kept)
        if head.bias is not None:
            head.bias = _rows(head.bias, rows)
    _renumber(model, kept)


def _rows(value: Tensor, rows: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach().index_select(0, rows), requires_grad=False)


def _renumber(model: Any, kept: list[int]) -> None:
    """The special tokens that configs name."""
    number = {old: new for new, old in enumerate(kept)}
    model.config.vocab_size = len(kept)
    for config in (model.config, getattr(model, "generation_config", None)):
        for name in _IDS:
            old = getattr(config, name, None)
            if old is not None:
                new = [number[each] for each in old if each in number] if isinstance(old, list) else number.get(old)
                setattr(config, name, new)
