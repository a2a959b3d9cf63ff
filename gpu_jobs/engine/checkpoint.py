"""Checkpoints: everything a run needs to go on as if it had never stopped, in safetensors and JSON.

    checkpoints/step-N/
      model.safetensors       the trained weights and the persistent buffers
      optimizer.safetensors   the optimizer's tensors, as "<parameter>|<name>"
      method.safetensors      what the method's hooks need to go on, where they need anything
      rng-<rank>.safetensors  torch's generators, of the CPU and of this rank's GPU
      state.json              step, tokens, seconds, data position, Python's and NumPy's generators, the spec

A folder is written under another name and renamed when complete: what is called step-N is whole. Frozen weights are not
in it; they come from the base again.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn, optim

from gpu_jobs.errors import ModelError

FORMAT = 1
KEPT = 2
Parameters = Mapping[str, nn.Parameter]
SEPARATOR = "|"  # between a parameter's name and that of its state


@dataclass
class Progress:
    """How far a run is: updates done, tokens read, and the seconds of the attempts before this one.

    `full_tokens` counts every sample as full, so that it is known before the samples are read: schedules go by it.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    full_tokens: int = 0


def whole(tensor: Tensor) -> Tensor:
    """The tensor on the CPU, gathered when it is shared out over GPUs (every rank must then call this)."""
    full = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full.detach().cpu().contiguous()


def model_tensors(model: nn.Module, trained: Parameters) -> dict[str, Tensor]:
    """What a checkpoint holds of a model: trained parameters and persistent buffers."""
    return {**trained, **persistent_buffers(model)}


def persistent_buffers(model: nn.Module) -> dict[str, Tensor]:
    """The buffers that belong to the model's state."""
    known = model.state_dict().keys()
    return {name: value for name, value in model.named_buffers() if name in known}


def optimizer_tensors(optimized: Parameters, optimizer: optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state of each parameter, every value as a tensor."""
    return {
        f"{name}{SEPARATOR}{key}": value if isinstance(value, Tensor) else torch.tensor(value)
        for name, parameter in optimized.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def rng_tensors(device: torch.device) -> dict[str, Tensor]:
    """The generators of torch in this process."""
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def host_rng() -> dict[str, Any]:
    """The generators of Python and NumPy, as JSON can hold them."""
    version, keys, gauss = random.getstate()
    numpy = [part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state(legacy=True)]
    return {"python": [version, list(keys), gauss], "numpy": numpy}


def write_part(folder: Path, name: str, tensors: dict[str, Tensor]) -> None:
    """Writes `name`.safetensors and makes sure that it is on the disk."""
    path = folder / f"{name}.safetensors"
    save_file(tensors, path)
    _sync(path)


def write_state(folder: Path, progress: Progress, facts: dict[str, Any]) -> None:
    """Writes state.json."""
    threads = torch.get_num_threads()
    state = {"format": FORMAT, **vars(progress), "threads": threads, "rng": host_rng(), **facts}
    path = folder / "state.json"
    path.write_text(json.dumps(state))
    _sync(path)


def begin(work_dir: Path, step: int) -> Path:
    """A new hidden folder for the checkpoint of this step; what an earlier attempt left unfinished is removed."""
    parent = work_dir / "checkpoints"
    parent.mkdir(parents=True, exist_ok=True)
    for stale in parent.glob(".step-*"):
        shutil.rmtree(stale)
    folder = parent / f".step-{step}"
    folder.mkdir()
    return folder


def publish(folder: Path) -> Path:
    """Gives a complete folder its name, and removes all but the latest checkpoints."""
    final = folder.with_name(folder.name[1:])
    _sync(folder)
    if final.exists():
        shutil.rmtree(final)
    folder.rename(final)
    _sync(final.parent)
    for old in folders(final.parent.parent)[:-KEPT]:
        shutil.rmtree(old)
    return final


def folders(work_dir: Path) -> list[Path]:
    """The complete checkpoints of a work folder, oldest first."""
    return sorted((work_dir / "checkpoints").glob("step-*"), key=lambda folder: int(folder.name.removeprefix("step-")))


def read_state(folder: Path) -> dict[str, Any]:
    """state.json. Raises ModelError when the folder is not a checkpoint of this format."""
    try:
        state: dict[str, Any] = json.loads((folder / "state.json").read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"the checkpoint {folder.name} can't be read ({error}): resume from an older one") from error
    if state.get("format") != FORMAT:
        raise ModelError(f"the checkpoint {folder.name} has format {state.get('format')}; this version reads {FORMAT}")
    return state


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path.parent.name}/{path.name} can't be read ({error}): resume from an older one") from error


def load_model(folder: Path, model: nn.Module, trained: Parameters) -> None:
    """Puts the saved weights into the model. Raises ModelError when they are another model's."""
    saved, wanted = _read(folder / "model.safetensors"), model_tensors(model, trained)
    if saved.keys() != wanted.keys():
        different = sorted(saved.keys() ^ wanted.keys())
        raise ModelError(f"{folder.name} is of another model or method (it differs in {different[0]}): start anew")
    for name, value in wanted.items():
        if saved[name].shape != value.shape:  # copy_ would refuse most of them, and stretch the others in silence
            shapes = f"{name} is {tuple(saved[name].shape)} there and {tuple(value.shape)} here"
            raise ModelError(f"{folder.name} is of another model or method ({shapes}): start anew")
        with torch.no_grad():
            value.copy_(_like(saved[name], value))


def load_method(folder: Path) -> dict[str, Tensor]:
    """The method's own state, {} where it has none."""
    path = folder / "method.safetensors"
    return _read(path) if path.exists() else {}


def load_optimizer(folder: Path, named: Parameters, optimizer: optim.Optimizer) -> None:
    """Puts the saved state into the optimizer, through its own rules for types and devices."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    number_of = {id(parameter): number for number, parameter in enumerate(parameters)}
    state: dict[int, dict[str, Tensor]] = {number: {} for number in range(len(parameters))}
    for name, value in _read(folder / "optimizer.safetensors").items():
        parameter, _, key = name.rpartition(SEPARATOR)
        shaped = _like(value, named[parameter]) if value.shape == named[parameter].shape else value
        state[number_of[id(named[parameter])]][key] = shaped
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def load_rng(folder: Path, state: dict[str, Any], device: torch.device, rank: int) -> None:
    """Puts every generator where it was; a rank that the checkpoint doesn't know keeps its own."""
    version, keys, gauss = state["rng"]["python"]
    random.setstate((version, tuple(keys), gauss))
    np.random.set_state(tuple(state["rng"]["numpy"]))
    path = folder / f"rng-{rank}.safetensors"
    if path.exists():
        saved = _read(path)
        torch.set_rng_state(saved["cpu"])
        if device.type == "cuda" and "cuda" in saved:
            torch.cuda.set_rng_state(saved["cuda"], device)


def _like(full: Tensor, target: Tensor) -> Tensor:
    """A whole tensor laid out as `target` is: shared out over GPUs, or as it stands."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(target, DTensor):
        return full
    return distribute_tensor(full.to(target.device), target.device_mesh, target.placements)


def _sync(path: Path) -> None:
    """A file, or the names in a folder, are on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
