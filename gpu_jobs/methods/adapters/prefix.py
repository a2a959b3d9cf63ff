"""Prefix tuning: trained keys and values before the text, in every block.

    attention over [P_k; K] and [P_v; V]        P (n, 2 x blocks x width of keys) trained, the model frozen

(Li and Liang 2021). The prefix is trained directly; with `hidden` it is made by a network of one hidden
layer, as in the paper, which is dropped when it is saved. There is nothing to merge. Plans of FLOPs and memory count
the text only. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.hooks import VirtualTokens
from gpu_jobs.methods.adapters.prompt import tokens
from gpu_jobs.shapes import Shapes, attention_width, heads

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2101.00190"
LR = 1e-2
MERGES = False
STARTS_AT_BASE = False


class Knobs(registry.Knobs):
    name: Literal["prefix"]
    tokens: int = Field(8, ge=1, le=4096, description="Virtual tokens.", json_schema_extra={"log": True})
    hidden: int = Field(0, ge=0, le=65536, description="Width of the network that makes the prefix; 0 for none.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """Keys and values of the virtual tokens in every block. Raises MethodError for a model of images."""
    count, wide = tokens(knobs, anatomy), key_values(anatomy)
    if not knobs.hidden:
        return {"p": (count, wide)}
    inner = wide // (2 * anatomy.blocks)
    shapes: Shapes = {"p": (count, inner), "f.0.weight": (knobs.hidden, inner), "f.0.bias": (knobs.hidden,)}
    return shapes | {"f.2.weight": (wide, knobs.hidden), "f.2.bias": (wide,)}


def key_values(anatomy: Anatomy) -> int:
    """Numbers that one token has in the cache: a key and a value per block."""
    count = heads(anatomy.config)
    kept = anatomy.config.get("num_key_value_heads") or count
    return int(anatomy.blocks * 2 * (attention_width(anatomy.config) // count) * kept)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import PrefixTuningConfig

    return PrefixTuningConfig(
        num_virtual_tokens=tokens(knobs, target.anatomy),
        encoder_hidden_size=knobs.hidden or None,  # type: ignore[arg-type]  # PEFT's default is None
        prefix_projection=knobs.hidden > 0,
        task_type=target.task_type,
    )


class Hooks(VirtualTokens):
    """Checks the context's length."""
