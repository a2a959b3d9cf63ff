"""Adapters on a model, whether HF PEFT's or our own: put on, merged, taken off, stored, read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gpu_jobs import registry
from gpu_jobs.anatomy import HEADS, Anatomy, pattern
from gpu_jobs.engine.adapters import host, peft, rewritten, side
from gpu_jobs.engine.adapters.host import added
from gpu_jobs.errors import MethodError, ModelError

__all__ = ["added", "attach", "can_merge", "load", "merge", "put", "save", "unload"]

CONFIG = "hone_adapter.json"  # beside it lies WEIGHTS; PEFT's own folders have adapter_config.json instead
WEIGHTS = "adapter.safetensors"
FORMAT = 1


def anatomy_of(model: Any, task: str) -> Anatomy:
    """The anatomy of a model that is built."""
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    return Anatomy(model.config.to_dict() | {"num_labels": model.config.num_labels}, shapes, task)


def attach(knobs: Any, model: Any, *, task: str, seed: int, adapter: str = host.DEFAULT) -> Any:
    """The model with the adapter on it; only the adapter, and a classifier's head, is trained. Raises MethodError.

    `adapter` is its name among those of our own that the model has. The file of a method has `peft_config`, or `init`
    and `merge` or `forward` (see `host`), or, where it is more than layers, `attach(knobs, model, anatomy, seed)`.
    """
    module = registry.method_of(knobs).module
    anatomy = anatomy_of(model, task)
    if hasattr(module, "peft_config"):
        return peft.attach(knobs, module, model, anatomy, seed)
    if hasattr(module, "attach"):
        model = module.attach(knobs, model, anatomy, seed)
    else:
        model = host.attach(knobs, module, model, _targets(knobs, module, model), seed, adapter)
    for name in HEADS:
        if hasattr(model, name):
            getattr(model, name).requires_grad_(True)
    return model


def _targets(knobs: Any, module: Any, model: Any) -> list[str]:
    """The full names of the adapted modules: where the knob says, or the method's own `targets(knobs, model_type)`.

    Raises MethodError, naming those there are, when there are none.
    """
    model_type = model.config.model_type
    meant = module.targets(knobs, model_type) if hasattr(module, "targets") else knobs.targets
    adapted = re.compile(pattern(meant, model_type))
    found = dict(host.modules(model))
    names = [name for name in found if name and adapted.fullmatch(name)]
    if not names:
        layers = [name for name, layer in found.items() if getattr(layer, "weight", None) is not None]
        raise MethodError(peft.no_target(knobs, layers))
    return names


def is_peft(model: Any) -> bool:
    """Whether PEFT holds the model."""
    return hasattr(model, "peft_config") and hasattr(model, "base_model")


def can_merge(knobs: Any) -> bool:
    """Whether the adapter can become part of its base's weights: MERGES in the file of a PEFT method says no."""
    module = registry.method_of(knobs).module
    return bool(getattr(module, "MERGES", hasattr(module, "peft_config") or host.can_merge(module)))


def merge(model: Any) -> Any:
    """The plain model with the adapter in its weights. Raises MethodError where the method can't be merged."""
    if is_peft(model):
        if not hasattr(model.base_model, "merge_and_unload"):
            raise MethodError(f"method {_peft_name(model)!r} can't be merged into the weights of its base.")
        try:
            return model.merge_and_unload()
        except ValueError as error:
            raise MethodError(f"method {_peft_name(model)!r} can't be merged into this base: {error}.") from error
    if not host.names(model):
        raise MethodError("this method can't be merged into the weights of its base.")
    return host.unload(model, merge=True)


def _peft_name(model: Any) -> str:
    return str(model.active_peft_config.peft_type.value).lower()


def unload(model: Any) -> Any:
    """The plain base without the adapter."""
    if is_peft(model):
        rewritten.restore(model)
        return peft.unload(model)
    side.unload(model)
    return host.unload(model, merge=False)


def can_switch_off(model: Any) -> bool:
    """Whether the base can be had from the adapted model; not where a head beside the adapter is trained, too."""
    return is_peft(model) or bool(host.adapted(model))


@contextmanager
def switched_off(model: Any) -> Iterator[None]:
    """The block in which the model computes what its base does."""
    if is_peft(model):
        with model.disable_adapter():
            yield
        return
    layers = host.adapted(model).values()
    for layer in layers:
        layer.is_active = False
    try:
        yield
    finally:
        for layer in layers:
            layer.is_active = True


def save(folder: Path, model: Any, method: dict[str, Any], *, task: str, seed: int, tensors: Any = None) -> None:
    """Writes our own adapter: what it is, and the tensors it adds. `tensors` are given where ranks share the model."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    about = {"format": FORMAT, "method": method, "task": task, "seed": seed}
    (folder / CONFIG).write_text(json.dumps(about, indent=2) + "\n")
    kept = _packed(model, dict(tensors if tensors is not None else added(model)))
    save_file({name: value.detach().cpu().contiguous() for name, value in kept.items()}, folder / WEIGHTS)


def _packed(model: nn.Module, kept: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What is stored, with the values of methods that have `pack` as they pack them."""
    for name, layer in host.adapted(model).items():
        if hasattr(layer.module, "pack"):
            packed = layer.module.pack(layer.knobs, _take(kept, f"{name}.values."))
            kept |= {f"{name}.values.{key}": value for key, value in packed.items()}
    return kept


def _take(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Those whose names begin so, without that; they are removed."""
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in names}


def load(folder: Path, model: Any, adapter: str = host.DEFAULT) -> Any:
    """Puts the adapter of such a folder on its base, under this name; nothing requires gradients. Raises ModelError.

    Several can be put on one base: the last is on, `host.activate(model, name)` switches.
    """
    from pydantic import TypeAdapter, ValidationError
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        about = json.loads((folder / CONFIG).read_text())
        knobs = TypeAdapter(registry.union("adapters", "strategies")).validate_python(about["method"])
        saved = load_file(folder / WEIGHTS)
        task, seed = str(about["task"]), int(about["seed"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, ValidationError) as error:
        raise ModelError(f"the adapter {folder.name} can't be read: {' '.join(str(error).split())[:300]}") from error
    adapted = put(knobs, model, task=task, seed=seed, adapter=adapter)
    _fill(adapted, saved, folder, adapter)
    return adapted.requires_grad_(False)


def put(knobs: Any, model: Any, *, task: str, seed: int, adapter: str = host.DEFAULT) -> Any:
    """The model with a method on it, adapter or strategy or both: some parameters are trained, the others frozen."""
    from gpu_jobs.anatomy import adapter_of

    method, asked = registry.method_of(knobs), adapter_of(knobs)
    if asked is not None:
        model = attach(asked, model, task=task, seed=seed, adapter=adapter)
    if method.family == "strategies":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = method.module.setup(knobs, model)
    return model


def _fill(model: nn.Module, saved: dict[str, torch.Tensor], folder: Path, adapter: str) -> None:
    for name, layer in host.adapted(model, adapter).items():
        at = f"{name}.values."
        if hasattr(layer.module, "unpack"):
            shapes = {key: tuple(value.shape) for key, value in layer.named_values.items()}
            unpacked = layer.module.unpack(layer.knobs, _take(saved, at), shapes)
            rebuilt = {key: unpacked.pop(key) for key in getattr(layer.module, "REBUILT", ()) if key in unpacked}
            layer.grow(rebuilt)
            saved |= {f"{at}{key}": value for key, value in unpacked.items()}
        if getattr(layer.module, "GROWS", False):
            layer.assume({key.removeprefix(at): value for key, value in saved.items() if key.startswith(at)})
    wanted = added(model, adapter)
    if saved.keys() != wanted.keys():
        raise ModelError(
            f"the adapter {folder.name} is of another model: it differs in {min(saved.keys() ^ wanted.keys())}"
        )
    for name, value in wanted.items():
        if saved[name].shape != value.shape:
            raise ModelError(f"the adapter {folder.name} is of another model: {name} has another shape")
        with torch.no_grad():
            value.copy_(saved[name])
