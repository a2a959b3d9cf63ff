"""Calibration samples on their way through a model, one block at a time.

What the first block is given is kept; each block is then run for all samples, and what comes out is what the next is
given. So a block can be changed before the later ones see what it makes, and no more than one block and one batch need
be on the device. A model without such a stack (shared blocks, recursion) is run whole, once: its layers are one stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gpu_jobs.engine.objective import Batch
from gpu_jobs.engine.pruning.layers import Inputs, Layer
from gpu_jobs.shapes import architecture

Visit = Callable[[Layer, Tensor], None]


class _EnoughError(Exception):
    """The first block has been given its inputs."""


@dataclass
class Given:
    """What the blocks are called with for one batch: the residual stream, on the CPU, and all that comes along."""

    hidden: Tensor
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    counted: Tensor | None  # (batch, length) bool: the positions that are no padding


@dataclass
class Stop:
    """The layers of one block. `run(visit)` runs all samples through it and shows each layer its inputs."""

    name: str
    block: nn.Module
    layers: list[Layer]
    run: Callable[[Visit | None], None]


def stack(model: Any) -> tuple[str, nn.ModuleList] | None:
    """The list of blocks that are run one after the other, None where there is none."""
    config = model.config.to_dict()
    if architecture(config):
        return None
    count = getattr(model.config, "num_hidden_layers", None)
    for name, found in model.named_modules():
        if isinstance(found, nn.ModuleList) and len(found) == count and name.split(".")[-1] in ("layers", "layer", "h"):
            return name, found
    return None


def walk(model: Any, layers: Mapping[str, Layer], batches: Sequence[Batch], device: torch.device) -> Iterator[Stop]:
    """Stop after stop; what is changed at one is seen by those after it. `run` may be called more than once."""
    found = stack(model)
    if found is None:
        yield Stop("model", model, list(layers.values()), partial(_whole, model, layers, batches, device))
        return
    name, blocks = found
    given = [_enter(model, blocks[0], batch, device) for batch in batches]
    for number, block in enumerate(blocks):
        at = f"{name}.{number}"
        inside = [layer for layer in layers.values() if layer.name.startswith(f"{at}.")]
        block.to(device)
        yield Stop(at, block, inside, partial(_pass, block, inside, given, device))
        for each in given if number + 1 < len(blocks) else ():
            each.hidden = _call(block, each, device)


Pair = tuple[Tensor, Tensor]  # what a block was given and what came out, (tokens, width) each, without padding


def through(model: Any, batches: Sequence[Batch], device: torch.device) -> Iterator[list[Pair]]:
    """Block after block, what each batch was before and after it, on the CPU. The model needs a stack."""
    found = stack(model)
    assert found is not None
    given = [_enter(model, found[1][0], batch, device) for batch in batches]
    for block in found[1]:
        block.to(device)
        pairs = []
        for each in given:
            before, each.hidden = each.hidden, _call(block, each, device)
            pairs.append((_rows(before, each.counted), _rows(each.hidden, each.counted)))
        yield pairs


def _rows(hidden: Tensor, counted: Tensor | None) -> Tensor:
    return hidden.flatten(0, 1) if counted is None else hidden[counted]


def gather(stop: Stop, needs: str, device: torch.device) -> None:
    """Gives every layer of the stop the sums of its inputs that `needs` names; what have one input have one sum."""

    def empty(layer: Layer) -> Inputs:
        return Inputs(layer.weight.shape[1], device, products=needs == "hessian")

    for layer in stop.layers:
        layer.inputs = None
    stop.run(_Sums(empty))
    for layer in stop.layers:
        layer.inputs = layer.inputs or empty(layer)  # nothing came in


class _Sums:
    """Adds each input to its layer's sums, once for layers that are given the same one in turn (q, k and v)."""

    def __init__(self, empty: Callable[[Layer], Inputs]) -> None:
        self._empty = empty
        self._last: tuple[Tensor, Inputs] | None = None

    def __call__(self, layer: Layer, x: Tensor) -> None:
        same = self._last[1] if self._last and self._last[0] is x else None
        if layer.inputs is None:
            layer.inputs = same or self._empty(layer)
        if layer.inputs is not same:
            layer.inputs.add(x)
        self._last = x, layer.inputs


def _enter(model: Any, first: nn.Module, batch: Batch, device: torch.device) -> Given:
    """What the first block is given for a batch."""
    kept: list[Given] = []

    def keep(_: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        options = dict(options)
        hidden, rest = (arguments[0], arguments[1:]) if arguments else (options.pop("hidden_states"), ())
        kept.append(Given(hidden.detach().cpu(), rest, options, _counted(batch)))
        raise _EnoughError

    model.config.use_cache = False  # blocks are run more than once, and a cache would grow
    handle = first.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        with torch.no_grad():
            model(**_inputs(batch, device))
    except _EnoughError:
        pass
    finally:
        handle.remove()
    return kept[0]


def _inputs(batch: Batch, device: torch.device) -> Batch:
    return {name: value.to(device) for name, value in batch.items() if name != "labels"}


def _counted(batch: Batch) -> Tensor | None:
    """Padding says nothing of what a layer is given."""
    mask = batch.get("attention_mask")
    return mask.bool() if mask is not None and mask.ndim == 2 and not bool(mask.all()) else None


@torch.no_grad()
def _call(block: nn.Module, given: Given, device: torch.device) -> Tensor:
    """The block's output for a batch, on the CPU."""
    out = block(given.hidden.to(device), *given.arguments, **given.options)
    hidden: Tensor = out[0] if isinstance(out, tuple) else out
    return hidden.cpu()


def _pass(
    block: nn.Module, inside: Sequence[Layer], given: Sequence[Given], device: torch.device, visit: Visit | None
) -> None:
    for each in given:
        with _watched(inside, visit, each.counted):
            _call(block, each, device)


def _whole(
    model: Any, layers: Mapping[str, Layer], batches: Sequence[Batch], device: torch.device, visit: Visit | None
) -> None:
    model.to(device)
    for batch in batches:
        with torch.no_grad(), _watched(list(layers.values()), visit, None):
            model(**_inputs(batch, device))


@contextmanager
def _watched(layers: Sequence[Layer], visit: Visit | None, counted: Tensor | None) -> Iterator[None]:
    """The block in which each layer shows `visit` what it is given."""
    handles = []
    last: tuple[Tensor, Tensor] | None = None
    for layer in layers if visit else ():

        def show(_: nn.Module, arguments: tuple[Tensor, ...], layer: Layer = layer) -> None:
            nonlocal last
            x = arguments[0]
            assert visit is not None
            if counted is not None and x.shape[:2] == counted.shape:
                last = last if last and last[0] is x else (x, x[counted.to(x.device)])
                x = last[1]
            visit(layer, x)

        handles.append(layer.module.register_forward_pre_hook(show))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
