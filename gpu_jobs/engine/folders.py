"""Model folders on disk: where a source's folder lies, what it holds, and on which base an adapter stands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gpu_jobs.anatomy import ADAPTER_FILES
from gpu_jobs.context import Context
from gpu_jobs.engine.paths import local
from gpu_jobs.errors import ModelError
from gpu_jobs.sources import ModelSource, PathModel, RunModel, Source

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
DEEPEST = 16  # adapters on adapters; more is surely a circle


@dataclass(frozen=True)
class Folder:
    """A folder written by `save_pretrained`; `key` is the input it came from ("run:12"), "" for a path."""

    path: Path
    key: str = ""
    depth: int = 0

    def __str__(self) -> str:
        return self.key or str(self.path)

    @property
    def is_adapter(self) -> bool:
        return any((self.path / name).is_file() for name in ADAPTER_FILES)


def find(source: Source, context: Context) -> Folder:
    """The folder of a run or a path. Raises ModelError when it is not there or is no model."""
    if isinstance(source, RunModel):
        return _input(f"run:{source.run}", context)
    if isinstance(source, PathModel):
        return _checked(Folder(local(source.path, "model.path", ModelError)))
    raise ModelError(f"a model of the source {type(source).__name__} can't be loaded: choose run, path or hub")


def _input(key: str, context: Context, depth: int = 0) -> Folder:
    path = context.inputs.get(key)
    if path is None or not Path(path).is_dir():
        raise ModelError(f"the model of {key} is not on this worker: has that run finished, and was its model kept?")
    return _checked(Folder(Path(path), key, depth))


def _checked(folder: Folder) -> Folder:
    if not folder.path.is_dir():
        raise ModelError(f"the model {folder} is a file: name the folder that save_pretrained has written")
    if not folder.is_adapter and not (folder.path / "config.json").is_file():
        raise ModelError(f"the model {folder} has no config.json: name a folder that save_pretrained has written")
    return folder


def check_weights(folder: Folder) -> None:
    """Raises ModelError unless the weights are safetensors; pickles run code when they are opened."""
    if any(folder.path.glob("*.safetensors")):
        return
    pickles = sorted(path.name for pattern in PICKLES for path in folder.path.glob(pattern))
    if pickles:
        raise ModelError(
            f"the weights of {folder} are a pickle ({pickles[0]}), which is never opened: save them as safetensors "
            "(save_pretrained does)"
        )
    raise ModelError(f"the model {folder} has no weights: no file in it ends in .safetensors; add them")


def base_of(adapter: Folder, context: Context) -> Folder | Source:
    """What an adapter was trained on: the input "<its key>/base", its folder `base`, or what its hone.json names."""
    if adapter.depth >= DEEPEST:
        raise ModelError(f"the adapter {adapter} stands on more than {DEEPEST} others: merge some of them first")
    key = f"{adapter.key}/base"
    if adapter.key and key in context.inputs:
        return _input(key, context, adapter.depth + 1)
    if (adapter.path / "base").is_dir():
        return _checked(Folder(adapter.path / "base", "", adapter.depth + 1))
    named = _named_base(adapter)
    if isinstance(named, RunModel):
        return _input(f"run:{named.run}", context, adapter.depth + 1)
    if named is None:
        raise ModelError(f"the adapter {adapter} comes without its base model: put it into a folder 'base' inside it")
    return named


def _named_base(adapter: Folder) -> Source | None:
    """The source under "base" in hone.json: an object as in a spec, or "run:12"."""
    try:
        base: Any = json.loads((adapter.path / "hone.json").read_text())["base"]
        if isinstance(base, str):
            base = {"source": "run", "run": base.removeprefix("run:")}
        source: Source = TypeAdapter(ModelSource).validate_python(base)
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
    return source


def with_tokenizer(folder: Folder, context: Context) -> Folder | Source | None:
    """The folder, or the nearest base below it, that holds a tokenizer (or may, on the hub); None when none does."""
    while True:
        if any((folder.path / name).is_file() for name in TOKENIZER_FILES):
            return folder
        if not folder.is_adapter:
            return None
        below = base_of(folder, context)
        if not isinstance(below, Folder):
            return below
        folder = below
