"""Exact order statistics of values that are never held all at once, in two passes.

The bits of a float32, read as an integer after flipping those of negative numbers, are in the order of the numbers. The
first pass counts values by their upper 16 bits, which says in which of 65,536 bins a rank lies; the second counts the
lower 16 bits of the values in that bin. What is found is the value itself, not an interpolation. Values of a single
piece are partitioned instead, which is quicker.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from gpu_jobs.deltas import Stream, Values

BINS = 1 << 16


def order_statistics(stream: Stream, values: Values, ranks: Callable[[int], list[int]]) -> list[list[float]]:
    """For each expert the values at these ranks, counted from 0 for the smallest; `ranks(n)` are those among n values.

    A rank beyond the last is infinity.
    """
    first = list(islice(stream.chunks(), 2))
    if len(first) == 1:
        return [_partitioned(value, ranks(value.numel())) for value in values(first[0])]
    del first
    upper = torch.zeros(stream.experts, BINS, dtype=torch.int64)
    for chunk in stream.chunks():
        for counts, value in zip(upper, values(chunk), strict=True):
            counts += _counted(_upper(_ordered(value)))
    wanted = ranks(int(upper[0].sum()))
    places = [[_bin(counts.cumsum(0), rank) for rank in wanted] for counts in upper]
    lower = torch.zeros(stream.experts, len(wanted), BINS, dtype=torch.int64)
    for chunk in stream.chunks():
        for expert, value in enumerate(values(chunk)):
            keys = _ordered(value)
            bins = _upper(keys)
            for number, (place, _) in enumerate(places[expert]):
                lower[expert, number] += _counted(keys[bins == place] & (BINS - 1))
    return [[_found(*pair) for pair in zip(lower[expert], places[expert], strict=True)] for expert in range(len(upper))]


def _partitioned(value: Tensor, ranks: list[int]) -> list[float]:
    flat = value.detach().float().flatten().numpy()
    inside = sorted({rank for rank in ranks if rank < len(flat)})
    ordered = np.partition(flat, inside) if inside else flat
    return [float(ordered[rank]) if rank < len(flat) else math.inf for rank in ranks]


def _found(counts: Tensor, place: tuple[int, int]) -> float:
    """The value at a rank of an upper bin, from the counts of the lower bits in it."""
    upper, rank = place
    return _value(upper, _bin(counts.cumsum(0), rank)[0])


def _ordered(value: Tensor) -> Tensor:
    """int32 keys (n,) in the order of the values."""
    bits = value.detach().float().contiguous().view(torch.int32).flatten()
    if bits.numel() and int(bits.min()) >= 0:
        return bits
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


def _upper(keys: Tensor) -> Tensor:
    return (keys >> 16) + BINS // 2


def _counted(bins: Tensor) -> Tensor:
    return torch.bincount(bins, minlength=BINS)


def _bin(below: Tensor, rank: int) -> tuple[int, int]:
    """The bin in which a rank lies, and its rank in there; `below` are the cumulated counts."""
    place = int(torch.searchsorted(below, rank, right=True))
    return place, rank - (int(below[place - 1]) if place else 0)


def _value(upper: int, lower: int) -> float:
    if upper >= BINS or lower >= BINS:
        return math.inf
    key = torch.tensor([(upper - BINS // 2) * BINS + lower], dtype=torch.int32)
    return float(torch.where(key < 0, key ^ 0x7FFFFFFF, key).view(torch.float32))
