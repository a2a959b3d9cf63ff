"""Number formats of few bits: a matrix as codes and scales, each the nearest value that the format has.

    int    W = (code - q) D                 q = 2^(bits-1) - 1, D = max |W| / q          symmetric
           W = (code - z) D                 D = (max W - min W) / (2^bits - 1), 0 a code  asymmetric
    table  W = table[code] D                D = max |W|; nf4, fp4, ternary: tables between -1 and 1
    fp8    W = value(code) D                D = max |W| / largest value of the format

One D for a group: for the whole matrix ("tensor"), for an output ("channel"), or for so many neighbouring inputs of an
output ("group"). nf4 is the table of QLoRA (Dettmers et al. 2023): quantiles of a normal distribution, 0 among them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gpu_jobs.engine import quantised

BITS = {"int8": 8, "int4": 4, "nf4": 4, "fp4": 4, "ternary": 2, "fp8_e4m3": 8, "fp8_e5m2": 8}
_HALF = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # of e2m1
TABLES = {
    "nf4": (
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
        -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634,
        0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ),
    "fp4": tuple(sorted({sign * value / 6 for value in _HALF for sign in (-1, 1)})),
    "ternary": (-1.0, 0.0, 1.0),
}  # fmt: skip
FLOATS = {"fp8_e4m3": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}


class Coding(NamedTuple):
    """How a matrix is coded. `group` counts only where granularity is "group"."""

    format: str
    granularity: str = "channel"
    group: int = 128
    symmetric: bool = True

    @property
    def bits(self) -> int:
        """Of a code."""
        return BITS[self.format]


class Codes(NamedTuple):
    """Codes (rows, groups, group) uint8, scales and where asymmetric zeros (rows, groups)."""

    codes: Tensor
    scales: Tensor
    zeros: Tensor | None


def encode(weight: Tensor, how: Coding) -> Codes:
    """The nearest codes of a matrix (out, in)."""
    rows, group = _rows(weight.float(), how)
    if how.format.startswith("int") and how.symmetric:
        return Codes(*quantised.rounded(rows, how.bits, group), None)
    grouped = F.pad(rows, (0, -rows.shape[1] % group)).view(len(rows), -1, group)
    if how.format.startswith("int"):
        return _asymmetric(grouped, how.bits)
    largest = grouped.abs().amax(-1)
    if how.format in FLOATS:
        kind = FLOATS[how.format]
        scales = _scales(largest / torch.finfo(kind).max)
        limit = torch.finfo(kind).max
        scaled = (grouped / scales[..., None]).clamp(-limit, limit)
        return Codes(scaled.to(kind).view(torch.uint8), scales, None)
    scales = _scales(largest)
    return Codes(nearest(grouped / scales[..., None], how.format), scales, None)


def decode(found: Codes, how: Coding, shape: tuple[int, int]) -> Tensor:
    """The matrix (out, in), float32."""
    scales = found.scales[..., None]
    if how.format in FLOATS:
        values = found.codes.view(FLOATS[how.format]).to(scales.dtype) * scales
    elif how.format in TABLES:
        values = table(how.format, scales.device)[found.codes.int()] * scales
    else:
        at = quantised.largest(how.bits) if found.zeros is None else found.zeros[..., None].to(scales.dtype)
        values = (found.codes.to(scales.dtype) - at) * scales
    rows = values.flatten(1)
    return (rows.view(shape) if how.granularity == "tensor" else rows[:, : shape[1]]).contiguous()


def step(found: Codes, how: Coding) -> Tensor:
    """The widest gap between two neighbouring values of each group (rows, groups); an error is at most half of it."""
    if how.format in TABLES:
        return found.scales * table(how.format).diff().max()
    if how.format in FLOATS:
        digits = {"fp8_e4m3": 3, "fp8_e5m2": 2}[how.format]
        top = 2.0 ** int(torch.tensor(torch.finfo(FLOATS[how.format]).max).log2().floor())
        return found.scales * top * 2.0**-digits
    return found.scales


def table(name: str, device: torch.device | str = "cpu") -> Tensor:
    """The values of a format, in order."""
    return torch.tensor(TABLES[name], device=device)


def nearest(values: Tensor, name: str) -> Tensor:
    """uint8 codes of the nearest values of a table."""
    levels = table(name, values.device)
    return torch.bucketize(values, (levels[1:] + levels[:-1]) / 2).to(torch.uint8)


def pack(codes: Tensor, bits: int) -> Tensor:
    """The codes in a row, 8 / bits in a byte; the last byte is filled up."""
    flat = codes.flatten()
    return quantised.packed(F.pad(flat, (0, -len(flat) % (8 // bits))), bits)


def unpack(packed: Tensor, bits: int, shape: torch.Size) -> Tensor:
    """The codes again."""
    return quantised.unpacked(packed, bits)[: shape.numel()].view(shape)


def layout(how: Coding, shape: tuple[int, int]) -> torch.Size:
    """The shape (rows, groups, group) of the codes of a matrix."""
    if how.granularity == "tensor":
        return torch.Size((1, 1, shape[0] * shape[1]))
    group = shape[1] if how.granularity == "channel" else how.group
    return torch.Size((shape[0], -(-shape[1] // group), group))


def _rows(weight: Tensor, how: Coding) -> tuple[Tensor, int]:
    rows = weight.reshape(1, -1) if how.granularity == "tensor" else weight
    return rows, layout(how, (weight.shape[0], weight.shape[1]))[-1]


def _scales(values: Tensor) -> Tensor:
    """Zeros are coded by any scale."""
    return torch.where(values > 0, values, torch.ones_like(values))


def _asymmetric(grouped: Tensor, bits: int) -> Codes:
    low, high = grouped.amin(-1).clamp(max=0), grouped.amax(-1).clamp(min=0)
    top = 2**bits - 1
    scales = _scales((high - low) / top)
    zeros = (-low / scales).round().clamp(0, top)
    codes = ((grouped / scales[..., None]).round() + zeros[..., None]).clamp(0, top)
    return Codes(codes.to(torch.uint8), scales, zeros.to(torch.uint8))
