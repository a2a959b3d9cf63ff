"""A compressed model as an ordinary one: as large as before, and read by plain transformers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gpu_jobs.engine import compressed
from gpu_jobs.errors import ModelError

_BIASED = {"attention_bias": r".*\.self_attn\.[qkvo]_proj", "mlp_bias": r".*\.mlp\.(gate|up|down)_proj"}  # of llama


def plain(folder: Path) -> Any:
    """The model of a folder, with ordinary layers and no shared weights but those that its config ties.

    Raises ModelError where a layer has a bias that its architecture has no place for.
    """
    model = compressed.load(folder)
    had = {name for name, layer in compressed.layers(model).items() if layer.dense()[1] is not None}
    compressed.expand(model)
    _make_room(model, had)
    _separate(model)
    return model


def _make_room(model: Any, had: set[str]) -> None:
    """Says in the config that layers have biases, and gives zeros to their neighbours."""
    fields = [name for name, where in _BIASED.items() if any(re.fullmatch(where, layer) for layer in had)]
    if model.config.model_type != "llama" or not fields:
        _check_biases(model, had)
        return
    for field in fields:
        setattr(model.config, field, True)
        for name, layer in model.named_modules():
            if re.fullmatch(_BIASED[field], name) and layer.bias is None:
                layer.bias = nn.Parameter(torch.zeros(layer.out_features, dtype=layer.weight.dtype))


def _check_biases(model: Any, had: set[str]) -> None:
    """Raises ModelError where a new model of this config would have no bias there."""
    with torch.random.fork_rng(devices=[]):
        fresh = type(model)._from_config(model.config)
    for name in sorted(had):
        if fresh.get_submodule(name).bias is None:
            raise ModelError(f"{name} has got a bias, which a {model.config.model_type} has no place for: load it with "
                             "gpu_jobs.engine.compressed.load instead")  # fmt: skip


def _separate(model: Any) -> None:
    """A copy for each of those that share a weight."""
    tied = set(model.all_tied_weights_keys or ())
    for name in compressed.shared(model):
        if name not in tied:
            at, _, last = name.rpartition(".")
            layer = model.get_submodule(at)
            layer._parameters[last] = nn.Parameter(layer._parameters[last].detach().clone())


def export(folder: Path, out: Path) -> None:
    """Writes `out`: the model of a folder by save_pretrained, with its tokenizer. Raises ModelError."""
    from gpu_jobs.context import Context
    from gpu_jobs.engine import folders, models

    holder, context = folders.Folder(folder, str(folder)), Context(out, out)
    tokenizer = models.tokenizer_at(folders.with_tokenizer(holder, context), context)
    plain(folder).save_pretrained(out)
    if tokenizer is not None:
        tokenizer.save_pretrained(out)
