"""From a criterion to masks, layer by layer or over the whole model at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpu_jobs import registry
from gpu_jobs.engine.pruning import allocation, layers, walk
from gpu_jobs.engine.pruning.layers import Layer
from gpu_jobs.engine.pruning.masks import Masks, by_matrix, by_pattern, by_row, everywhere, lowest
from gpu_jobs.engine.shrinking.subject import Subject
from gpu_jobs.events import Event, Log
from gpu_jobs.prunable import nm, refuse_empty, removed

if TYPE_CHECKING:
    from gpu_jobs.kinds.prune import Spec


def masks(subject: Subject, spec: Spec, sparsity: float) -> Generator[Event, None, Masks]:
    """Prunes the subject's model in place, and returns what was kept. Raises MethodError where a layer is emptied."""
    found = layers.find(subject.bare, spec.method.targets, spec.seed)
    if sparsity == 0:
        return {name: torch.ones(layer.weight.shape, dtype=torch.bool) for name, layer in found.items()}
    module = registry.method_of(spec.method).module
    if hasattr(module, "scores") or spec.allocation == "global":
        chosen = yield from _at_once(subject, spec, found, sparsity)
    else:
        chosen = yield from _one_by_one(subject, spec, found, sparsity)
    _refuse_empty(chosen)
    return {name: chosen[name].cpu() for name in found}


def scores(subject: Subject, spec: Spec, found: Mapping[str, Layer]) -> dict[str, Tensor]:
    """The criterion's scores of the model as it is, none of it pruned on the way; what is zero scores lowest."""
    module = registry.method_of(spec.method).module
    subject.bare.eval()  # while it is trained, dropout would be in what is seen
    if hasattr(module, "scores"):
        subject.bare.to(subject.device)
        batches = [{name: value.to(subject.device) for name, value in batch.items()} for batch in subject.batches()]
        of_all: dict[str, Tensor] = module.scores(spec.method, subject.bare, batches, subject.loss_sum, found)
        return {name: _below(of_all[name], layer) for name, layer in found.items()}
    for _ in seen(subject, found, getattr(module, "NEEDS", None)):
        pass
    return {name: _below(module.score(spec.method, layer), layer) for name, layer in found.items()}


def _below(values: Tensor, layer: Layer) -> Tensor:
    """Weights that went before stay away: an earlier round's zeros come first."""
    return values.masked_fill(layer.weight.to(values.device) == 0, -torch.inf)


def choose(spec: Any, values: Tensor, share: float) -> Tensor:
    """The mask that the spec's pattern and the criterion's scope make of scores (out, in)."""
    kept = nm(spec.method.pattern)
    if kept:
        return by_pattern(values, kept)
    is_by_row = getattr(registry.method_of(spec.method).module, "SCOPE", "matrix") == "row"
    return by_row(values, share) if is_by_row else by_matrix(values, share)


def _at_once(
    subject: Subject, spec: Spec, found: Mapping[str, Layer], sparsity: float
) -> Generator[Event, None, Masks]:
    yield Log(message=f"Scoring {len(found)} layers by {spec.method.name}.")
    rounds = 1 if nm(spec.method.pattern) else getattr(spec.method, "rounds", 1)
    chosen: Masks = {}
    for number in range(1, rounds + 1):
        values = scores(subject, spec, found)
        chosen = selected(subject, spec, found, values, 1 - (1 - sparsity) ** (number / rounds))
        for name, layer in found.items():
            layer.write(layer.weight * chosen[name].to(layer.module.weight.device))
    return chosen


def selected(
    subject: Subject, spec: Spec, found: Mapping[str, Layer], values: Mapping[str, Tensor], sparsity: float
) -> Masks:
    """The masks that scores make of this sparsity, shared out as the spec says."""
    if spec.allocation == "global":
        return everywhere(values, sparsity)
    shares = allocation.shares(subject, spec, found, sparsity)
    return {name: choose(spec, values[name], shares[name]) for name in found}


def _one_by_one(
    subject: Subject, spec: Spec, found: Mapping[str, Layer], sparsity: float
) -> Generator[Event, None, Masks]:
    """Each layer on inputs from the pruned ones before it."""
    chosen: Masks = {}
    for name, share in allocation.shares(subject, spec, found, sparsity).items():
        found[name].share = share
    needs = getattr(registry.method_of(spec.method).module, "NEEDS", None)
    stops = seen(subject, found, needs)
    for number, inside in enumerate(stops, 1):
        for layer in inside:
            chosen[layer.name] = _prune(spec, layer)
            layer.inputs = None
        if needs:
            yield Log(message=f"Block {number}: {len(inside)} layers pruned.", level="debug")
    return chosen


def seen(subject: Subject, found: Mapping[str, Layer], needs: str | None) -> Generator[list[Layer], None, None]:
    """The layers in groups, each with the sums of its inputs: block by block, or all where no inputs are needed."""
    if not needs:
        yield list(found.values())
        return
    for stop in walk.walk(subject.bare, found, subject.batches(), subject.device):
        walk.gather(stop, needs, subject.device)
        yield stop.layers


def _prune(spec: Spec, layer: Layer) -> Tensor:
    module = registry.method_of(spec.method).module
    if hasattr(module, "update"):
        weight, mask = module.update(spec.method, layer, parts_of(spec, layer.share))
    else:
        mask = choose(spec, _below(module.score(spec.method, layer), layer), layer.share)
        weight = layer.weight * mask.to(layer.weight.device)
    layer.write(weight * mask.to(weight.device))
    return mask  # type: ignore[no-any-return]


def parts_of(spec: Any, share: float) -> Callable[[Tensor], Tensor]:
    """Chooses for one part of a matrix after the other, so that together they lose the share of the whole, exactly."""
    seen = gone = 0

    def choose_part(values: Tensor) -> Tensor:
        nonlocal seen, gone
        if nm(spec.method.pattern):
            return choose(spec, values, share)
        seen += values.numel()
        count = removed(share, seen) - gone
        gone += count
        return ~lowest(values.reshape(1, -1), count)[0].view(values.shape)

    return choose_part


def _refuse_empty(chosen: Masks) -> None:
    for name, mask in chosen.items():
        if not mask.any():
            refuse_empty(name, (mask.shape[0], mask.shape[1]), 1.0)
