"""MAM adapter: a prefix for attention and a parallel bottleneck beside the feed-forward.

    attention      Attn(Q, [P_k; K], [P_v; V])                      P_k, P_v (l, d)
    feed-forward   h <- FFN(x) + s (f(x W_down + b_down) W_up + b_up)

(He et al. 2022: mix-and-match, l = 30, b = 512, s = 4, the adapter begun as LoRA). The adapter begins at zero; a prefix
takes part in every softmax from the start, so that training does not begin at the base model unless l is 0. Prefixes
are trained directly, as N(0, 0.02) at first: the authors' code makes them with a small network while it trains, which
is left out here. They have no position. It can't be merged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.methods.adapters import bottleneck
from gpu_jobs.shapes import Config, Shapes, heads, width

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2110.04366"
LR = 1e-3
STARTS_AT_BASE = False
ANY_LAYER = True


class Knobs(registry.Knobs):
    name: Literal["mam"]
    prefix: int = Field(30, ge=0, le=4096, description="Positions l in front of every layer's tokens; 0: none.")
    width: int = Field(512, ge=1, le=65536, description="Inner width b.", json_schema_extra={"log": True})
    scale: float = Field(4.0, ge=0.01, le=100, description="Factor s of the adapter.", json_schema_extra={"log": True})
    activation: Literal["relu", "gelu", "silu", "identity"] = Field("relu", description="The function f.")


def targets(knobs: Knobs, model_type: str) -> str:
    """Attention, where it gets a prefix, and the feed-forward of every block."""
    return "self_attention+ffn" if knobs.prefix else "ffn"


def front(knobs: Knobs, config: Config) -> tuple[int, int, int]:
    """The shape of P_k and of P_v: (heads, l, head size); with grouped queries there are fewer heads."""
    size = config.get("head_dim") or width(config) // heads(config)
    return int(config.get("num_key_value_heads") or heads(config)), knobs.prefix, int(size)


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """2 d b + b + d values a block for the adapter, and 2 l d for the prefix."""
    found: Shapes = {}
    for block in range(anatomy.blocks):
        parts = bottleneck.shapes(anatomy.width, knobs.width)
        if knobs.prefix:
            parts |= dict.fromkeys(("K", "V"), front(knobs, anatomy.config))
        found |= {f"{block}.{key}": shape for key, shape in parts.items()}
    return found


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """The prefix of an attention, or the adapter of a feed-forward."""
    from gpu_jobs.engine.adapters import prefix
    from gpu_jobs.engine.adapters.lowrank import normal

    if not hasattr(base.plain, "is_causal"):  # which every attention has, and nothing else
        return bottleneck.begin(base.width, knobs.width, generator)
    prefix.enable(base.plain.config)
    shape = front(knobs, base.config.to_dict())
    return {name: normal(*shape, std=0.02, generator=generator) for name in ("K", "V")}


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor], *arguments: Any, **options: Any) -> Any:
    """Attention with the prefix, or the feed-forward with the adapter beside it."""
    if "down" in values:

        def adapter(source: Tensor) -> Tensor:
            return knobs.scale * bottleneck.passed(source, values, knobs.activation)

        return bottleneck.parallel(base, x, adapter, *arguments, **options)
    base.plain.prefix = values["K"], values["V"]
    try:
        return base(x, *arguments, **options)
    finally:
        del base.plain.prefix
