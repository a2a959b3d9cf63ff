"""Models with layers of another form, as folders that plain transformers can't read, and back.

    config.json             the model's, as save_pretrained writes it
    hone_compressed.json    the layers of another form, each with what is needed to make it again; shared weights
    compressed.safetensors  every weight, code and scale once, by its name

    from gpu_jobs.engine.compressed import load
    model = load("out/model")              # computes the bits that the saved model computed
    model = load("out/model", plain=True)  # ordinary layers with the same weights

`python -m gpu_jobs export` writes the latter as an ordinary model. A model without such layers and without weights that
several layers share is written by save_pretrained alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gpu_jobs.engine.compressed.coded import Coded
from gpu_jobs.engine.compressed.factored import Factored
from gpu_jobs.engine.compressed.folded import Folded
from gpu_jobs.errors import ModelError
from gpu_jobs.shapes import Shapes

ABOUT, WEIGHTS, FORMAT = "hone_compressed.json", "compressed.safetensors", 1
FORMS: dict[str, Any] = {each.FORM: each for each in (Factored, Coded, Folded)}
_FORMS = tuple(FORMS.values())


def is_compressed(folder: Path) -> bool:
    """Whether a folder was written by `save`, with layers of another form."""
    return (folder / ABOUT).is_file()


def layers(model: nn.Module) -> dict[str, Any]:
    """The layers of another form, by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, _FORMS)}


def replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Puts a layer in the place of the one of this name."""
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)


def save(model: Any, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
    """Writes the folder; by save_pretrained where all layers are plain. `weights` are used instead of the model's."""
    found, tied = layers(model), shared(model)
    if not found and set(tied) <= set(model.all_tied_weights_keys or ()):
        model.save_pretrained(folder, state_dict=weights)
        return
    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    if model.can_generate():
        model.generation_config.save_pretrained(folder)
    about = {"format": FORMAT, "layers": {name: layer.describe() for name, layer in found.items()}, "shared": tied}
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n")
    every = model.state_dict() if weights is None else weights
    state = {name: value.detach().cpu().contiguous() for name, value in every.items() if name not in tied}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})


def shared(model: nn.Module) -> dict[str, str]:
    """Names of weights that are another's, too, with the name it is stored by: the first."""
    first: dict[int, str] = {}
    found = {}
    for name, value in model.state_dict(keep_vars=True).items():
        owner = first.setdefault(id(value), name)
        if owner != name:
            found[name] = owner
    return found


def restore(folder: Path, model: Any) -> list[str]:
    """Gives a model of the folder's config its layers and weights. Returns the names of weights that were not there.

    Raises ModelError for files that are not as `save` writes them.
    """
    about = _about(folder)
    try:
        for name, described in about["layers"].items():
            replace(model, name, FORMS[described["form"]].empty(described))
        for name, owner in about["shared"].items():
            if _holds(model, name) and _holds(model, owner):
                _share(model, name, owner)
        return _fill(model, load_file(folder / WEIGHTS), about["shared"])
    except (KeyError, TypeError, AttributeError, RuntimeError, OSError) as error:
        raise ModelError(f"the compressed model {folder} is damaged: {type(error).__name__} {error}") from error


def _about(folder: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / ABOUT} can't be read: {error}") from error
    if about.get("format") != FORMAT:
        raise ModelError(f"{folder / ABOUT} is of format {about.get('format')}, and this Hone reads {FORMAT}")
    return about


def _holds(model: nn.Module, name: str) -> bool:
    at, _, last = name.rpartition(".")
    try:
        return last in model.get_submodule(at)._parameters
    except AttributeError:
        return False


def _share(model: nn.Module, name: str, owner: str) -> None:
    at, _, last = name.rpartition(".")
    model.get_submodule(at)._parameters[last] = model.get_parameter(owner)


@torch.no_grad()
def _fill(model: nn.Module, tensors: dict[str, Tensor], tied: dict[str, str]) -> list[str]:
    state = model.state_dict(keep_vars=True)
    for name, value in tensors.items():
        if name in state:
            state[name].copy_(value)
    return [name for name in state if name not in tensors and tied.get(name) not in tensors]


def load(folder: str | Path, *, plain: bool = False) -> Any:
    """The model of a run's `model/` folder, with the head it was saved with, in evaluation mode. Raises ModelError."""
    import transformers

    from gpu_jobs.engine import architectures

    folder = Path(folder)
    if not is_compressed(folder):
        return architectures.load(folder)
    architectures.register()
    config: Any = transformers.AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    with torch.random.fork_rng(devices=[]):
        model = architectures.class_of(config.architectures[0])._from_config(config)
    missing = restore(folder, model)
    if missing:
        raise ModelError(f"the compressed model {folder} is damaged: it lacks {', '.join(missing[:3])}")
    return (expand(model) if plain else model).eval()


def expand(model: Any, forms: tuple[type, ...] = _FORMS) -> Any:
    """Plain layers with the same weights in the place of those of these forms, in place."""
    for name, layer in layers(model).items():
        if isinstance(layer, forms):
            replace(model, name, _expanded(layer))
    return model


def _expanded(layer: Any) -> nn.Module:
    import transformers.pytorch_utils as theirs

    weight, bias = layer.dense()
    with torch.random.fork_rng(devices=[]):
        made: Any = (
            getattr(theirs, "Conv1D")(layer.out_features, layer.in_features)  # noqa: B009 - it has no types
            if layer.is_transposed
            else nn.Linear(layer.in_features, layer.out_features, bias=bias is not None)
        )
    made.weight = nn.Parameter((weight.T if layer.is_transposed else weight).contiguous(), requires_grad=False)
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    found: nn.Module = made
    return found


def plain_codes(model: Any) -> Any:
    """The model with its codes as ordinary weights, which every method can work on."""
    return expand(model, (Coded,))


def values(model: nn.Module) -> int:
    """Parameters, each once, and codes."""
    coded = sum(getattr(layer, "coded_values", 0) for layer in model.modules())
    return coded + sum(value.numel() for name, value in model.named_parameters() if ".original_module." not in name)


def shapes(model: nn.Module, dense: Shapes) -> Shapes:
    """The shapes of what is multiplied: those of a model of plain layers, with factors for matrices that have them."""
    found = dict(dense)
    for name, layer in layers(model).items():
        if isinstance(layer, Factored):
            found.pop(f"{name}.weight", None)
            found |= {f"{name}.{part}.weight": tuple(getattr(layer, part).weight.shape) for part in ("down", "up")}
    return found
