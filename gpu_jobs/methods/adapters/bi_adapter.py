"""Bi-adapter: adapters of one or a few bits a weight.

    w_hat = (w - mean) / (std + 1e-5)
    w_q = std * snap(w_hat) + mean          snap: to the medians of 2^b equally likely bins of N(0, 1)

(Jie et al. 2023). For one bit the medians are +-0.674. The forward computes with w_q, and gradients pass through to the
w that is trained in float32 as if there were no rounding. Stored are the packed codes, ceil(n b / 8) bytes, and mean
and std, 8 bytes, of every tensor. Medians are what minimises the mean absolute error; the least squares would be
+-0.798. The host is a parallel adapter beside the feed-forward (AdaptFormer, without biases) or LoRA. The second matrix
begins as a normal distribution of 0.001 cut at two deviations and not at zero (a tensor of zeros can't be
standardised), so that training begins near the base model; as in the authors' code, of which the dropout of 0.1 is left
out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.methods.adapters import bottleneck
from gpu_jobs.shapes import Shape, Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2307.16867"
LR = 1e-3
STARTS_AT_BASE = False
ANY_LAYER = True
REBUILT = ("fixed",)


class Knobs(AdapterKnobs):
    name: Literal["bi_adapter"]
    bits: int = Field(1, ge=1, le=8, description="Bits a weight.")
    width: int = Field(32, ge=1, le=4096, description="Inner width.", json_schema_extra={"log": True})
    host: Literal["adaptformer", "lora"] = Field(
        "lora", description="What is quantised: a parallel adapter beside each feed-forward, or LoRA on `targets`."
    )
    scale: float = Field(1.0, ge=0.01, le=100, description="Factor of the adapter.", json_schema_extra={"log": True})


def targets(knobs: Knobs, model_type: str) -> Any:
    """Feed-forwards, or the layers that are named."""
    return "ffn" if knobs.host == "adaptformer" else knobs.targets


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """Two matrices an adapter."""
    if knobs.host == "adaptformer":
        places = [(str(block), anatomy.width, anatomy.width) for block in range(anatomy.blocks)]
    else:
        places = [(layer.name, layer.inputs, layer.outputs) for layer in anatomy.layers(knobs.targets)]
    found: Shapes = {}
    for name, inputs, outputs in places:
        found |= {f"{name}.down": (knobs.width, inputs), f"{name}.up": (outputs, knobs.width)}
    return found


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """down (h, in) and up (out, h); `fixed` holds one value when they are quantised already, else none."""
    import torch

    from gpu_jobs.engine.adapters.lowrank import kaiming

    is_lora = knobs.host == "lora"
    up = torch.empty(base.outputs if is_lora else base.width, knobs.width)
    torch.nn.init.trunc_normal_(up, std=1e-3, a=-2e-3, b=2e-3, generator=generator)
    down = kaiming(knobs.width, base.inputs if is_lora else base.width, generator=generator)
    return {"down": down, "up": torch.nn.Parameter(up), "fixed": torch.empty(0)}


def levels(bits: int) -> tuple[list[float], list[float]]:
    """The medians of 2^bits equally likely bins of N(0, 1), and the bounds between the bins."""
    from statistics import NormalDist

    count = 2**bits
    medians = [NormalDist().inv_cdf((place + 0.5) / count) for place in range(count)]
    return medians, [NormalDist().inv_cdf(place / count) for place in range(1, count)]


def codes(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """The bin of every value, and (mean, std)."""
    import torch

    mean, std = weight.mean(), weight.std()
    bounds = torch.tensor(levels(bits)[1], dtype=weight.dtype, device=weight.device)
    return torch.bucketize((weight - mean) / (std + 1e-5), bounds), torch.stack([mean, std])


def decoded(found: Tensor, moments: Tensor, bits: int) -> Tensor:
    """std * median + mean"""
    import torch

    medians = torch.tensor(levels(bits)[0], dtype=moments.dtype, device=moments.device)
    return medians[found] * moments[1] + moments[0]


def quantised(knobs: Knobs, values: dict[str, Tensor], name: str) -> Tensor:
    """w_q, with the gradient of w."""
    weight = values[name]
    if len(values["fixed"]):
        return weight
    rounded = decoded(*codes(weight.detach(), knobs.bits), knobs.bits)
    return rounded + (weight - weight.detach())  # exactly `rounded`: the bracket is zero


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor], *arguments: Any, **options: Any) -> Any:
    """W x + s up down x, or FFN(x) + s up relu(down x)"""
    from torch.nn import functional as F

    down, up = quantised(knobs, values, "down"), quantised(knobs, values, "up")
    if knobs.host == "lora":
        return base(x) + knobs.scale * (x @ down.T @ up.T)
    return bottleneck.parallel(
        base, x, lambda source: knobs.scale * F.relu(source @ down.T) @ up.T, *arguments, **options
    )


def lora(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(down, s up), quantised"""
    return quantised(knobs, values, "down"), knobs.scale * quantised(knobs, values, "up")


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W + s up down. Raises MethodError for an adapter beside a feed-forward, which is not linear."""
    from gpu_jobs.errors import MethodError

    if knobs.host != "lora":
        raise MethodError("method 'bi_adapter' with the host 'adaptformer' can't be merged into its base.")
    a, b = lora(knobs, base, values)
    return base.weight + b @ a  # type: ignore[no-any-return]


def pack(knobs: Knobs, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of each matrix the codes, b bits each, and (mean, std) in float32."""
    import torch

    packed: dict[str, Tensor] = {}
    for name, value in values.items():
        found, moments = codes(value.detach().float().cpu(), knobs.bits)
        places = 2 ** torch.arange(knobs.bits)
        bits = (found.flatten()[:, None] // places % 2).flatten().to(torch.uint8)  # (values x b,)
        bits = torch.nn.functional.pad(bits, (0, -len(bits) % 8)).view(-1, 8)
        packed[f"{name}_codes"] = (bits << torch.arange(8, dtype=torch.uint8)).sum(1).to(torch.uint8)
        packed[f"{name}_moments"] = moments
    return packed


def unpack(knobs: Knobs, stored: dict[str, Tensor], shapes: dict[str, Shape]) -> dict[str, Tensor]:
    """The quantised values, as they are used."""
    import torch

    values = {
        name: _unpacked(knobs.bits, stored[f"{name}_codes"], stored[f"{name}_moments"], shapes[name])
        for name in ("down", "up")
    }
    return {**values, "fixed": torch.ones(1)}


def _unpacked(width: int, packed: Tensor, moments: Tensor, shape: Shape) -> Tensor:
    import math

    import torch

    bits = (packed[:, None] >> torch.arange(8, dtype=torch.uint8) & 1).flatten()[: math.prod(shape) * width]
    found = (bits.view(-1, width).long() * 2 ** torch.arange(width)).sum(1)
    return decoded(found, moments, width).view(shape)
