"""Tensors kept for the backward in few bits. What a forward computes stays the same to the bit.

    products      8 bits: what a linear layer, attention or the product of two features keeps, in steps of max|x| / 127
    activations   4 bits: x in steps of 1/2 from -4 to 3.5, outside of which GELU and SiLU are all but straight
    frozen norms  the largest tenth of the normalised x, and its scale

Of weights, which are there anyway, nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from gpu_jobs.anatomy import block_of


class Packed(NamedTuple):
    """A tensor in 8 bits."""

    codes: Tensor  # int8
    step: Tensor
    dtype: torch.dtype


def pack(x: Tensor) -> Packed:
    """To the nearest of 255 values: it is off by half a step at most."""
    step = x.detach().abs().amax().float().clamp(min=torch.finfo(torch.float32).tiny) / 127
    return Packed((x.detach() / step).round().clamp(-127, 127).to(torch.int8), step, x.dtype)


def unpack(packed: Packed) -> Tensor:
    return (packed.codes * packed.step).to(packed.dtype)


def pack_halves(x: Tensor) -> Tensor:
    """Two values to a byte, uint8 (ceil(n / 2),)."""
    codes = ((x.detach().flatten() * 2).round().clamp(-8, 7) + 8).to(torch.uint8)
    codes = torch.nn.functional.pad(codes, (0, len(codes) % 2))
    return codes[::2] * 16 + codes[1::2]


def unpack_halves(packed: Tensor, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()[: shape.numel()]
    return ((codes.to(dtype) - 8) / 2).view(shape)


class FewBits(torch.autograd.Function):
    """A function of single values; its slope is taken where the 4 bits say that x was."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(pack_halves(x))
        ctx.shape, ctx.dtype, ctx.function = x.shape, x.dtype, function
        return function(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (packed,) = ctx.saved_tensors
        x = unpack_halves(packed, ctx.shape, ctx.dtype).requires_grad_(True)
        with torch.enable_grad():
            y = ctx.function(x)
        return torch.autograd.grad(y, x, gradient)[0], None


class SparseNorm(torch.autograd.Function):
    """A norm whose weight is frozen: LayerNorm when it has a bias, which may be trained, otherwise RMSNorm."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        bias: Tensor | None,
        weight: Tensor,
        eps: float,
        share: float,
        norm: Callable[[Tensor], Tensor],
    ) -> Tensor:
        wide, is_centred = x.float(), bias is not None
        centred = wide - wide.mean(-1, keepdim=True) if is_centred else wide
        inverse = (centred.square().mean(-1, keepdim=True) + eps).rsqrt()
        normal = (centred * inverse).flatten()
        places = normal.abs().topk(int(share * len(normal)), sorted=False).indices
        ctx.save_for_backward(normal[places], places.to(torch.int32), inverse, weight)
        ctx.shape, ctx.dtype, ctx.is_centred = x.shape, x.dtype, is_centred
        return norm(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None, None, None]:
        values, places, inverse, weight = ctx.saved_tensors
        normal = torch.zeros(ctx.shape.numel(), device=values.device)
        normal[places.long()] = values
        normal, inner = normal.view(ctx.shape), gradient.float() * weight
        found = inner - normal * (inner * normal).mean(-1, keepdim=True)
        of_bias = None
        if ctx.is_centred:
            found, of_bias = found - inner.mean(-1, keepdim=True), gradient.flatten(0, -2).sum(0)
        return (found * inverse).to(ctx.dtype), of_bias, None, None, None, None


def compress(model: nn.Module, share: float) -> None:
    """Makes the blocks of a model keep little, for as long as it lives; which norms are frozen, each forward sees."""
    own = {value.untyped_storage().data_ptr() for value in model.parameters()}
    for name, layer in model.named_modules():
        if block_of(f"{name}.") is None:
            continue
        wrap = _wrapper(layer, own, share)
        if wrap is not None:
            layer.forward = wrap


def _wrapper(layer: nn.Module, own: set[int], share: float) -> Callable[..., Any] | None:
    from transformers.pytorch_utils import Conv1D

    kind, plain = type(layer).__name__, layer.forward
    if isinstance(layer, (nn.Linear, Conv1D)):
        return _in_bits(plain, own, 1, tuple(layer.weight.shape))
    if kind.endswith("Norm"):
        return _sparse(layer, plain, share)
    if type(layer).__module__ == "transformers.activations" or isinstance(layer, (nn.GELU, nn.SiLU)):
        return lambda x: FewBits.apply(x, plain)  # type: ignore[no-untyped-call]
    if "Attention" in kind:
        return _in_bits(plain, own, 4)
    return _in_bits(plain, own, 2) if kind.endswith("MLP") else None


def _in_bits(
    plain: Callable[..., Any], own: set[int], dimensions: int, weight: tuple[int, ...] = ()
) -> Callable[..., Any]:
    """Keeps tensors of at least so many dimensions in 8 bits: attention has sums of fewer, which must be exact.

    `weight` is the shape of the layer's own, of which autocast makes copies that are kept anyway.
    """

    def keep(x: Tensor) -> Any:
        is_small = x.ndim < dimensions or x.shape[-1] == 1 or tuple(x.shape) in (weight, weight[::-1])
        if is_small or not x.is_floating_point() or x.untyped_storage().data_ptr() in own:
            return x
        return pack(x)

    def give(kept: Any) -> Tensor:
        return unpack(kept) if isinstance(kept, Packed) else kept

    def forward(*arguments: Any, **options: Any) -> Any:
        with saved_tensors_hooks(keep, give):
            return plain(*arguments, **options)

    return forward


def _sparse(layer: Any, plain: Callable[..., Any], share: float) -> Callable[..., Any]:
    eps = getattr(layer, "eps", getattr(layer, "variance_epsilon", 1e-6))

    def forward(x: Tensor) -> Any:
        if layer.weight.requires_grad or not torch.is_grad_enabled():
            return plain(x)
        bias = getattr(layer, "bias", None)
        return SparseNorm.apply(x, bias, layer.weight, eps, share, plain)  # type: ignore[no-untyped-call]

    return forward
