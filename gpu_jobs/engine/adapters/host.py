"""The host of our own adapters: a layer of the model with a method's values beside it.

A method's file has, in torch's terms,

    init(knobs, base, generator, shared) -> {name: value}    Parameters are trained, plain tensors are not
    forward(knobs, base, x, values) -> y                      left out: the layer with its merged weight
    merge(knobs, base, values) -> weight                      or (weight, bias); left out: it can't be merged
    share(knobs, bases, generator) -> {name: value}           optional: values that all layers have in common
    lora(knobs, base, values) -> (A, B)                       optional: the change of the weight is B A
    pack(knobs, values) -> values                             optional: as they are stored, and
    unpack(knobs, values, shapes) -> values                   as they are used again; `shapes` are those of `init`

`base.weight` is (out, in) whatever the layer's type. Convolutions and embeddings compute with the merged weight where
there is one: `forward` sees linear layers. A layer without a matrix (a norm, a whole feed-forward) is refused unless
the file says ANY_LAYER = True. REBUILT names values that `init` makes again from base and seed, which are therefore not
stored. GROWS = True says that more values come while it is trained (`AdaptedLayer.grow`).

A base can hold several adapters, each under its name. An adapter that is put on switches the others off; `activate`
switches, and those that are on work one on top of the other, in the order in which they came.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gpu_jobs.anatomy import BLOCK
from gpu_jobs.errors import MethodError

Values = dict[str, Tensor]
DEFAULT = "default"  # the adapter's name where no other is given


class Base:
    """A layer as a method sees it: linear, Conv1D, Conv2d, embedding, or any module that maps a tensor to another.

    Where adapters that are switched on lie below, weight, bias and output are with them.
    """

    def __init__(self, layer: nn.Module, name: str, number: int, config: Any = None) -> None:
        self.layer, self.name, self.number = layer, name, number  # number: its place among the adapted layers
        self.config = config  # the model's

    def __call__(self, x: Tensor, *arguments: Any, **options: Any) -> Any:
        return self.layer(x, *arguments, **options)

    @property
    def plain(self) -> Any:
        """The model's own layer, below all adapters."""
        layer = self.layer
        while isinstance(layer, AdaptedLayer):
            layer = layer.base
        return layer

    @property
    def block(self) -> int | None:
        """The transformer block it stands in."""
        found = BLOCK.search(self.name)
        return int(found.group(1)) if found else None

    @property
    def width(self) -> int:
        """Size of the residual stream."""
        return int(self.config.hidden_size)

    @property
    def is_training(self) -> bool:
        """Whether dropout is to drop."""
        return self.layer.training

    @property
    def is_transposed(self) -> bool:
        """Whether the weight is stored (in, out), as GPT-2's are."""
        from transformers.pytorch_utils import Conv1D

        return isinstance(self.plain, Conv1D)

    @property
    def is_linear(self) -> bool:
        """Not a convolution or a table: the last dimension of the input is what is mapped."""
        return not isinstance(self.plain, (nn.modules.conv._ConvNd, nn.Embedding))

    @property
    def has_matrix(self) -> bool:
        weight = getattr(self.plain, "weight", None)
        return isinstance(weight, Tensor) and weight.ndim >= 2

    @property
    def weight(self) -> Tensor:
        """(out, in); of a convolution (out, in x height x width), of an embedding (entries, width), of a norm (width,).

        Raises MethodError where there is none, or only one of codes.
        """
        if isinstance(self.layer, AdaptedLayer) and self.layer.is_on:
            return self.layer.merged()[0]
        weight = getattr(self.plain, "weight", None)
        if weight is None or not weight.is_floating_point():
            raise MethodError(
                f"the layer {self.name} has no weight of floating-point numbers, which this method needs."
            )
        if weight.ndim < 2:
            return weight  # type: ignore[no-any-return]
        return weight.T if self.is_transposed else weight.flatten(1)  # type: ignore[no-any-return]

    @property
    def bias(self) -> Tensor | None:
        """(out,)"""
        if isinstance(self.layer, AdaptedLayer) and self.layer.is_on:
            return self.layer.merged()[1]
        found: Tensor | None = getattr(self.plain, "bias", None)
        return found

    @property
    def outputs(self) -> int:
        """Rows of the weight, of a quantised layer, too."""
        layer = self.plain
        return int(layer.out_features) if hasattr(layer, "out_features") else self.weight.shape[0]

    @property
    def inputs(self) -> int:
        """Columns of the weight."""
        layer = self.plain
        return int(layer.in_features) if hasattr(layer, "in_features") else self.weight.shape[1]

    def stored(self, weight: Tensor) -> Tensor:
        """A weight (out, in) laid out as the layer keeps its own."""
        return weight.T if self.is_transposed else weight.view_as(self.plain.weight)

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """What the layer computes of `x` with another weight (out, in), and its own bias unless one is given."""
        layer, bias = self.plain, self.bias if bias is None else bias
        if isinstance(layer, nn.Linear) or self.is_transposed:
            return F.linear(x, weight, bias)
        given = {"weight": self.stored(weight)} | ({} if bias is None else {"bias": bias})
        found: Tensor = torch.func.functional_call(layer, given, (x,))
        return found

    def put(self, weight: Tensor, bias: Tensor | None) -> tuple[nn.Parameter, nn.Parameter | None]:
        """Gives the layer another weight, and bias; returns those it had. Raises MethodError where it has none.

        They are new parameters: weights that were tied to the old ones stay as they are.
        """
        layer = self.plain
        kept = layer.weight, getattr(layer, "bias", None)
        if bias is not None and kept[1] is None:
            raise MethodError(f"the layer {self.name} has no bias, so that the method's can't be merged into it.")
        layer.weight = _like(kept[0], self.stored(weight))
        if bias is not None and kept[1] is not None:
            layer.bias = _like(kept[1], bias)
        return kept


def _like(old: nn.Parameter, value: Tensor) -> nn.Parameter:
    fresh = value.detach().to(old.dtype).clone(memory_format=torch.contiguous_format)
    return nn.Parameter(fresh, requires_grad=old.requires_grad)


class AdaptedLayer(nn.Module):
    """One layer with its adapter. `is_active` switches it off and on; merging keeps the base's bits for unmerging."""

    def __init__(self, base: Base, module: Any, knobs: Any, values: Values, adapter: str = DEFAULT) -> None:
        super().__init__()
        self.base = base.layer
        self.seen, self.knobs, self.adapter, self.is_active = base, knobs, adapter, True
        self._module = module.__name__  # a module itself can be neither copied nor sent to another process
        self._kept: tuple[nn.Parameter, nn.Parameter | None] | None = None
        self.values = nn.Module()
        self.grow(values)

    def __getattr__(self, name: str) -> Any:
        """What the model asks of the layer itself, like `weight`."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base"), name)

    @property
    def module(self) -> Any:
        """The method's file."""
        return sys.modules[self._module]

    @property
    def named_values(self) -> Values:
        """Trained and frozen values by name."""
        return {**dict(self.values.named_parameters()), **dict(self.values.named_buffers())}

    @property
    def is_on(self) -> bool:
        """Whether it changes what the layer computes: not when it is switched off, nor when it is in the weight."""
        return self.is_active and self._kept is None

    def grow(self, values: Values) -> None:
        """Takes more values, or others in the place of those it has."""
        for name, value in values.items():
            if isinstance(value, nn.Parameter):
                self.values.register_parameter(name, value)
            else:
                self.values.register_buffer(name, value, persistent=name not in getattr(self.module, "REBUILT", ()))

    def assume(self, values: Values) -> None:
        """Has these parameters and no others: those of a layer that has grown."""
        for name in [name for name, _ in self.values.named_parameters() if name not in values]:
            delattr(self.values, name)
        buffers = dict(self.values.named_buffers())
        self.grow({name: nn.Parameter(value) for name, value in values.items() if name not in buffers})

    def forward(self, *arguments: Any, **options: Any) -> Any:
        x, *others = arguments or (options.pop("hidden_states"),)  # as blocks call their attention
        if not self.is_on:
            return self.base(x, *others, **options)
        with _numbers(x):
            if hasattr(self.module, "forward") and (self.seen.is_linear or not can_merge(self.module)):
                return self.module.forward(self.knobs, self.seen, x, self.named_values, *others, **options)
            return self.seen.apply(x, *self._merged())

    def _merged(self) -> tuple[Tensor, Tensor | None]:
        found = self.module.merge(self.knobs, self.seen, self.named_values)
        return found if isinstance(found, tuple) else (found, None)

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """The layer's weight (out, in) and bias with the adapter in them. Raises MethodError where that can't be."""
        if not can_merge(self.module):
            raise MethodError(f"method {self.knobs.name!r} can't be merged into the weights of its base.")
        weight, bias = self._merged()
        return weight, self.seen.bias if bias is None else bias

    def lora(self) -> tuple[Tensor, Tensor]:
        """A (rank, in) and B (out, rank) with W + B A the merged weight, where the method has `lora`."""
        a, b = self.module.lora(self.knobs, self.seen, self.named_values)
        return a.detach(), b.detach()

    @torch.no_grad()
    def merge(self) -> None:
        """Puts the adapter into the base's weight. Raises MethodError where the method can't be merged."""
        if self._kept is not None:
            return
        if not can_merge(self.module):
            raise MethodError(f"method {self.knobs.name!r} can't be merged into the weights of its base.")
        self._kept = self.seen.put(*self._merged())

    def unmerge(self) -> None:
        """Gives the base its own weight back."""
        if self._kept is None:
            return
        layer = self.seen.plain
        layer.weight, bias = self._kept
        if bias is not None:
            layer.bias = bias
        self._kept = None

    def releases_tie(self, model: nn.Module) -> bool:
        """Whether the weight that it merged into was another layer's, too, which keeps the old one."""
        return self._kept is not None and any(value is self._kept[0] for value in model.parameters())


def _numbers(x: Tensor) -> AbstractContextManager[None]:
    """A model that is held in half precision computes so with values in float32, too."""
    is_half = x.dtype in (torch.bfloat16, torch.float16)
    if not is_half or torch.is_autocast_enabled(x.device.type):
        return nullcontext()
    return torch.autocast(x.device.type, x.dtype)


def can_merge(module: Any) -> bool:
    """Whether a method of our own becomes part of its base's weights."""
    return hasattr(module, "merge")


def attach(knobs: Any, module: Any, model: nn.Module, names: list[str], seed: int, adapter: str = DEFAULT) -> nn.Module:
    """Puts the method on the modules of these names, in place; all other parameters are frozen, other adapters off.

    Raises MethodError for a layer that the method can't be put on, and for a name that is taken.
    """
    model.requires_grad_(False)
    if any(layer.adapter == adapter for _, layer in _adapted(model)):
        raise MethodError(f"the model has an adapter named {adapter!r} already: give this one another name.")
    activate(model)
    generator, outermost = torch.Generator().manual_seed(seed), dict(reversed(list(modules(model))))
    config = getattr(model, "config", None)
    bases = [Base(outermost[name], name, number, config) for number, name in enumerate(names)]
    for base in bases:
        _check(knobs, module, base)
    shared = module.share(knobs, bases, generator) if hasattr(module, "share") else {}
    for base in bases:
        values = module.init(knobs, base, generator, shared)
        _replace(model, base.layer, AdaptedLayer(base, module, knobs, values, adapter))
    return model


def _check(knobs: Any, module: Any, base: Base) -> None:
    if getattr(module, "ANY_LAYER", False):
        return
    if not base.has_matrix:
        raise MethodError(f"method {knobs.name!r} needs layers with a matrix, and {base.name} has none.")
    if not base.is_linear and not can_merge(module):
        kind = type(base.plain).__name__
        raise MethodError(f"method {knobs.name!r} needs linear layers, and {base.name} is a {kind}.")


def _replace(model: nn.Module, old: nn.Module, new: AdaptedLayer) -> None:
    """Wherever the layer stands, and in the place of other tables that hold the same weight (T5 has three)."""
    weight = old._parameters.get("weight") if isinstance(old, nn.Embedding) else None
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            is_twin = weight is not None and isinstance(child, nn.Embedding) and child.weight is weight
            if child is old or is_twin:
                parent._modules[name] = new


def modules(model: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """All modules by the names that they have without adapters; those come under their layer's name, outer first."""
    yield name, model
    if isinstance(model, AdaptedLayer):
        yield from modules(model.base, name)
        return
    for child_name, child in model._modules.items():
        if child is not None:
            yield from modules(child, f"{name}.{child_name}" if name else child_name)


def _adapted(model: nn.Module) -> list[tuple[str, AdaptedLayer]]:
    """Every adapted layer once, with its name; of several adapters of one layer the outer first."""
    found: dict[int, tuple[str, AdaptedLayer]] = {}
    for name, layer in modules(model):
        if isinstance(layer, AdaptedLayer):
            found.setdefault(id(layer), (name, layer))
    return list(found.values())


def adapted(model: nn.Module, adapter: str = DEFAULT) -> dict[str, AdaptedLayer]:
    """The layers of an adapter by name."""
    return {name: layer for name, layer in _adapted(model) if layer.adapter == adapter}


def names(model: nn.Module) -> list[str]:
    """The adapters of a model, by the order in which they came on."""
    return list(dict.fromkeys(layer.adapter for _, layer in reversed(_adapted(model))))


def activate(model: nn.Module, *adapters: str) -> None:
    """Switches these adapters on and all others off. Raises MethodError for one that is not there, or is merged."""
    unknown = set(adapters) - set(names(model))
    if unknown:
        raise MethodError(f"the model has no adapter {min(unknown)!r}: there are {', '.join(names(model)) or 'none'}.")
    for name, layer in _adapted(model):
        if layer._kept is not None:
            raise MethodError(f"the adapter {layer.adapter!r} is merged into {name}: unmerge it first.")
        layer.is_active = layer.adapter in adapters


def unload(model: nn.Module, *, merge: bool) -> nn.Module:
    """The plain model again, in place: with the adapters that are on in its weights, or without any."""
    layers = _adapted(model)
    for _, layer in reversed(layers):  # inner ones first: the others are put on them
        if merge and layer.is_active:
            layer.merge()
    if not merge:
        for _, layer in layers:  # the last merged first
            layer.unmerge()
    config: Any = getattr(model, "config", None)
    if any(layer.releases_tie(model) for _, layer in layers) and hasattr(config, "tie_word_embeddings"):
        config.tie_word_embeddings = False  # else the one would be lost when it is loaded
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, AdaptedLayer):
                parent._modules[name] = child.seen.plain
    return model


def added(model: nn.Module, adapter: str = DEFAULT) -> Mapping[str, Tensor]:
    """What a folder stores of an adapted model: the adapter's values by its layers' names, and all that is trained."""
    ours: dict[str, Tensor] = {}
    for name, layer in adapted(model, adapter).items():
        ours |= {f"{name}.values.{key}": value for key, value in layer.values.state_dict(keep_vars=True).items()}
    known = {id(value) for _, layer in _adapted(model) for value in layer.values.parameters()}
    trained = {
        name: value for name, value in model.named_parameters() if value.requires_grad and id(value) not in known
    }
    once = {id(value): name for name, value in reversed([*trained.items(), *ours.items()])}
    return {name: value for name, value in (trained | ours).items() if once[id(value)] == name}
