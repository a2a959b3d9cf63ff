"""Keys and values in front of those of the tokens, for every model that calls attention through transformers' table."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

NAME = "hone_prefix"


def enable(config: Any) -> None:
    """The models of this config call `attend`, which without a prefix is torch's own attention."""
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    config._attn_implementation = NAME


def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
    """Attention over the prefix of `module.prefix`, (K, V) each (heads, length, head size), and the tokens.

    Every token sees the whole prefix. query, key, value: (batch, heads, tokens, head size).
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    prefix = getattr(module, "prefix", None)
    if prefix is None:
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    is_causal = options.pop("is_causal", None)
    if is_causal is None:
        is_causal = getattr(module, "is_causal", True)
    if mask is None and is_causal and query.shape[2] > 1:
        tokens, seen = query.shape[2], key.shape[2]
        mask = torch.ones(tokens, seen, dtype=torch.bool, device=key.device).tril(seen - tokens)[None, None]
    key, value = (_joined(front, whole) for front, whole in zip(prefix, (key, value), strict=True))
    if mask is not None:
        mask = F.pad(mask, (prefix[0].shape[1], 0), value=True if mask.dtype == torch.bool else 0.0)
    return sdpa_attention_forward(module, query, key, value, mask, is_causal=False, **options)


def _joined(front: Tensor, whole: Tensor) -> Tensor:
    """(heads, length, size) before (batch, heads, tokens, size)"""
    return torch.cat([front.to(whole.dtype).expand(len(whole), -1, -1, -1), whole], dim=2)
