"""The tensors of a model folder, read and written in pieces.

A file is opened for each piece and closed again: what is mapped into memory counts as held by the process for as long
as the file is open, so that eight open models would weigh as much as eight loaded ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gpu_jobs.engine.folders import Folder, check_weights
from gpu_jobs.errors import ModelError
from gpu_jobs.shapes import Shape, size

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
PIECE = 1 << 21  # entries that are worked on at once: 8 MiB of float32 for each expert
FLOATS = ("F64", "F32", "F16", "BF16")
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


class About(NamedTuple):
    """Where a tensor is, and what it is."""

    file: str
    dtype: str  # as safetensors names it
    shape: Shape

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS


class Weights:
    """What a folder holds, by name. Raises ModelError for files that can't be read."""

    def __init__(self, folder: Folder) -> None:
        check_weights(folder)
        self.folder = folder
        try:
            self.tensors = dict(self._headers())
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ModelError(f"the weights of {folder} can't be read: {' '.join(str(error).split())[:300]}") from error

    def _headers(self) -> Iterator[tuple[str, About]]:
        for name in self._files():
            with safe_open(self.folder.path / name, "pt") as file:
                for tensor in file.keys():  # noqa: SIM118 - it is no mapping
                    part = file.get_slice(tensor)
                    yield tensor, About(name, part.get_dtype(), tuple(part.get_shape()))

    def _files(self) -> list[str]:
        index = self.folder.path / INDEX
        if index.is_file():
            names = list(dict.fromkeys(json.loads(index.read_text())["weight_map"].values()))
            if any(Path(name).name != name for name in names):
                raise ValueError(f"{INDEX} names files outside the folder")
            return names
        if (self.folder.path / SINGLE).is_file():
            return [SINGLE]
        return sorted(path.name for path in self.folder.path.glob("*.safetensors"))

    def files(self) -> dict[str, dict[str, About]]:
        """The tensors of each file."""
        found: dict[str, dict[str, About]] = {}
        for name, about in self.tensors.items():
            found.setdefault(about.file, {})[name] = about
        return found

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """These rows of a tensor, in its own numbers; of one without dimensions, all of it."""
        about = self.tensors[name]
        with safe_open(self.folder.path / about.file, "pt") as file:
            found: Tensor = file.get_slice(name)[start:stop] if about.shape else file.get_tensor(name)
            return found.clone()

    @property
    def parameters(self) -> int:
        """Values of all tensors that hold numbers with a fraction."""
        return sum(size(about.shape) for about in self.tensors.values() if about.is_float)


def pieces(shape: Shape, *, whole: bool = False) -> Iterator[tuple[int, int]]:
    """First and last row, exclusive, of each piece of a tensor of this shape."""
    rows = shape[0] if shape else 1
    step = rows if whole else max(1, PIECE // max(1, size(shape[1:])))
    for start in range(0, rows, max(1, step)):
        yield start, min(rows, start + step)


class Writer:
    """One safetensors file whose tensors are appended piece by piece, in the order of `tensors`."""

    def __init__(self, path: Path, tensors: Mapping[str, About]) -> None:
        self._file = path.open("wb")
        header, end = {"__metadata__": {"format": "pt"}}, 0  # type: tuple[dict[str, object], int]
        for name, about in tensors.items():
            start, end = end, end + size(about.shape) * DTYPES[about.dtype].itemsize
            header[name] = {"dtype": about.dtype, "shape": about.shape, "data_offsets": [start, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self._file.write(len(text).to_bytes(8, "little") + text)

    def append(self, piece: Tensor) -> None:
        """Writes the next values."""
        self._file.write(piece.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())

    def close(self) -> None:
        self._file.close()
