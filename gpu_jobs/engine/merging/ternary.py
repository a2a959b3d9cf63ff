"""Deltas of -1, 0 and 1 on disk: few bits for each entry that is not zero, and back exactly.

The positions p_1 < p_2 < ... of the k entries that are not zero, of n, are stored as Elias and Fano do: the lower l
bits of each as they are, the upper ones as a row of bits in which bit (p_i >> l) + i is 1, with l = floor(log2(n / k)).
Beside them stands one bit for each sign. So a tensor takes

    k + (n >> l) + 1,   k l,   k      bits, each of the three rounded up to bytes

(Elias 1974, Fano 1971). The file is safetensors: `<name>|upper`, `|lower`, `|signs` and `|about` (n, k), and in its
metadata the shapes and the number that 1 stands for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

Bytes = NDArray[np.uint8]
SEPARATOR = "|"


def low_bits(n: int, k: int) -> int:
    """l: how many bits of a position are stored as they are."""
    return max(0, (n // k).bit_length() - 1) if k else 0


def stored_bytes(n: int, k: int) -> int:
    """Bytes of a tensor's codes, without the file's header and the two counts."""
    low = low_bits(n, k)
    upper = k + (n >> low) + 1 if k else 0
    return sum(-(-bits // 8) for bits in (upper, k * low, k))


def encode(codes: Tensor) -> dict[str, Tensor]:
    """The parts of a tensor of -1, 0 and 1."""
    flat = codes.flatten().numpy()
    places = np.flatnonzero(flat).astype(np.int64)
    n, k = len(flat), len(places)
    low = low_bits(n, k)
    upper = np.zeros(k + (n >> low) + 1 if k else 0, dtype=np.uint8)
    upper[(places >> low) + np.arange(k)] = 1
    parts = {"upper": upper, "lower": _bits(places, low), "signs": (flat[places] > 0).astype(np.uint8)}
    packed = {name: torch.from_numpy(np.packbits(bits)) for name, bits in parts.items()}
    return packed | {"about": torch.tensor([n, k])}


def _bits(values: NDArray[np.int64], width: int) -> Bytes:
    """The lowest bits of each value, one after another."""
    shifts = np.arange(width, dtype=np.int64)
    return ((values[:, None] >> shifts) & 1).astype(np.uint8).ravel()


def decode(parts: dict[str, Tensor]) -> Tensor:
    """The flat tensor of -1, 0 and 1."""
    n, k = parts["about"].tolist()
    low = low_bits(n, k)
    upper, lower, signs = (parts[name].numpy() for name in ("upper", "lower", "signs"))
    heights = np.flatnonzero(np.unpackbits(upper)) - np.arange(k)
    rest = np.unpackbits(lower, count=k * low).reshape(k, low).astype(np.int64) @ (1 << np.arange(low, dtype=np.int64))
    codes = np.zeros(n, dtype=np.int8)
    codes[(heights << low) + rest] = np.unpackbits(signs, count=k).astype(np.int8) * 2 - 1
    return torch.from_numpy(codes)


def save(path: Path, tensors: Iterator[tuple[str, Tensor]], magnitude: float) -> int:
    """Writes the file of one expert; returns its bytes."""
    parts: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, codes in tensors:
        shapes[name] = list(codes.shape)
        parts |= {f"{name}{SEPARATOR}{part}": value for part, value in encode(codes).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(parts, path, {"magnitude": repr(magnitude), "shapes": json.dumps(shapes)})
    return path.stat().st_size


def load(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Name and delta of each tensor, in float32; to be added to the base of the expert."""
    with safe_open(path, "pt") as file:
        about = file.metadata()
        for name, shape in json.loads(about["shapes"]).items():
            parts = {part: file.get_tensor(f"{name}{SEPARATOR}{part}") for part in ("upper", "lower", "signs", "about")}
            yield name, decode(parts).view(shape).float() * float(about["magnitude"])
