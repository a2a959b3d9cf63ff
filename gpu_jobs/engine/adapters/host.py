"""The host of our own adapters: a layer of the model with a method's values beside it.

A method's file has, in torch's terms,

    init(knobs, base, generator, shared) -> {name: value}    Parameters are trained, plain tensors are not
    forward(knobs, base, x, values) -> y                      left out: the layer with its merged weight
    merge(knobs, base, values) -> weight                      or (weight, bias); left out: it can't be merged
    share(knobs, bases, generator) -> {name: value}           optional: values that all layers have in common

`base.weight` is (out, in) whatever the layer's type; REBUILT names values that `init` makes again from base and seed,
which are therefore not stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gpu_jobs.anatomy import BLOCK
from gpu_jobs.errors import MethodError

Values = dict[str, Tensor]


class Base:
    """A layer as a method sees it: linear, Conv1D, Conv2d, embedding, or any module that maps a tensor to another."""

    def __init__(self, layer: nn.Module, name: str, number: int) -> None:
        from transformers.pytorch_utils import Conv1D

        self.layer, self.name, self.number = layer, name, number  # number: its place among the adapted layers
        self.is_transposed = isinstance(layer, Conv1D)

    def __call__(self, x: Tensor, *arguments: Any, **options: Any) -> Any:
        return self.layer(x, *arguments, **options)

    @property
    def block(self) -> int | None:
        """The transformer block it stands in."""
        found = BLOCK.search(self.name)
        return int(found.group(1)) if found else None

    @property
    def weight(self) -> Tensor:
        """(out, in); of a convolution (out, in x height x width), of an embedding (entries, width)."""
        weight: Tensor = self.layer.weight  # type: ignore[assignment]
        return weight.T if self.is_transposed else weight.flatten(1)

    @property
    def bias(self) -> Tensor | None:
        """(out,)"""
        found: Tensor | None = getattr(self.layer, "bias", None)
        return found

    @property
    def outputs(self) -> int:
        return self.weight.shape[0]

    @property
    def inputs(self) -> int:
        return self.weight.shape[1]

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """What the layer computes of `x` with another weight (out, in), and its own bias unless one is given."""
        layer: Any = self.layer
        bias = self.bias if bias is None else bias
        if isinstance(layer, nn.Embedding):
            return F.embedding(x, weight, layer.padding_idx)
        if isinstance(layer, nn.Conv2d):
            shaped = weight.view_as(layer.weight)
            return F.conv2d(x, shaped, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
        return F.linear(x, weight, bias)

    def put(self, weight: Tensor, bias: Tensor | None) -> None:
        """Replaces the layer's own weight, and its bias. Raises MethodError where the layer has none to replace."""
        layer: Any = self.layer
        layer.weight.data = (weight.T if self.is_transposed else weight.view_as(layer.weight)).detach().contiguous()
        if bias is not None and layer.bias is None:
            raise MethodError(f"the layer {self.name} has no bias, so that the method's can't be merged into it.")
        if bias is not None:
            layer.bias.data = bias.detach()


class AdaptedLayer(nn.Module):
    """One layer with its adapter. `is_active` switches it off and on; merging keeps the base's bits for unmerging."""

    def __init__(self, base: Base, module: Any, knobs: Any, values: Values) -> None:
        super().__init__()
        self.base = base.layer
        self.seen, self.module, self.knobs, self.is_active = base, module, knobs, True
        self._kept: tuple[Tensor, Tensor | None] | None = None
        self.values = nn.Module()
        for name, value in values.items():
            if isinstance(value, nn.Parameter):
                self.values.register_parameter(name, value)
            else:
                self.values.register_buffer(name, value, persistent=name not in getattr(module, "REBUILT", ()))

    def __getattr__(self, name: str) -> Any:
        """What the model asks of the layer itself, like `weight`."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base"), name)

    @property
    def named_values(self) -> Values:
        """Trained and frozen values by name."""
        return {**dict(self.values.named_parameters()), **dict(self.values.named_buffers())}

    def forward(self, x: Tensor, *arguments: Any, **options: Any) -> Any:
        if not self.is_active or self._kept is not None:
            return self.base(x, *arguments, **options)
        if hasattr(self.module, "forward"):
            return self.module.forward(self.knobs, self.seen, x, self.named_values, *arguments, **options)
        return self.seen.apply(x, *self._merged())

    def _merged(self) -> tuple[Tensor, Tensor | None]:
        found = self.module.merge(self.knobs, self.seen, self.named_values)
        return found if isinstance(found, tuple) else (found, None)

    @torch.no_grad()
    def merge(self) -> None:
        """Puts the adapter into the base's weight. Raises MethodError where the method can't be merged."""
        if self._kept is not None:
            return
        if not can_merge(self.module):
            raise MethodError(f"method {self.knobs.name!r} can't be merged into the weights of its base.")
        layer: Any = self.base
        bias = getattr(layer, "bias", None)
        kept = layer.weight.detach().clone(), None if bias is None else bias.detach().clone()
        self.seen.put(*self._merged())
        self._kept = kept

    def unmerge(self) -> None:
        """Gives the base its own bits back."""
        if self._kept is None:
            return
        layer: Any = self.base
        layer.weight.data = self._kept[0]
        if self._kept[1] is not None:
            layer.bias.data = self._kept[1]
        self._kept = None


def can_merge(module: Any) -> bool:
    """Whether a method of our own becomes part of its base's weights."""
    return hasattr(module, "merge")


def attach(knobs: Any, module: Any, model: nn.Module, names: list[str], seed: int) -> nn.Module:
    """Puts the method on the modules of these names, in place; all other parameters are frozen."""
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    bases = [Base(model.get_submodule(name), name, number) for number, name in enumerate(names)]
    shared = module.share(knobs, bases, generator) if hasattr(module, "share") else {}
    for base in bases:
        values = module.init(knobs, base, generator, shared)
        _replace(model, base.name, AdaptedLayer(base, module, knobs, values))
    return model


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)


def adapted(model: nn.Module) -> dict[str, AdaptedLayer]:
    """The adapted layers by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, AdaptedLayer)}


def unload(model: nn.Module, *, merge: bool) -> nn.Module:
    """The plain model again, in place: with the adapter in its weights, or without it."""
    for name, layer in reversed(adapted(model).items()):  # an adapter on an adapted layer comes off first
        if merge:
            layer.merge()
        else:
            layer.unmerge()
        _replace(model, name, layer.base)
    return model


def added(model: nn.Module) -> Mapping[str, Tensor]:
    """What a folder stores of an adapted model: all that is trained, and the buffers that adapters keep."""
    known = model.state_dict().keys()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    kept = {
        f"{name}.values.{buffer}": value
        for name, layer in adapted(model).items()
        for buffer, value in layer.values.named_buffers()
        if f"{name}.values.{buffer}" in known
    }
    return {**trained, **kept}
