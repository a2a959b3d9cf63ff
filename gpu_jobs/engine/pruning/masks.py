"""From scores to masks: exact counts, whatever the scores, and ties by place: the first go first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor

from gpu_jobs.prunable import NM, removed

NARROW = 16  # rows up to this length are ranked by comparing all pairs
Masks = dict[str, Tensor]  # (out, in) bool by the layer's name, True where a weight is kept


def lowest(scores: Tensor, count: int) -> Tensor:
    """Which `count` of each row of (rows, n) go: bool, True for the lowest. NaN counts as the lowest."""
    if count <= 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    scores = scores.detach()
    if scores.isnan().any():
        scores = scores.masked_fill(scores.isnan(), -torch.inf)
    if scores.shape[1] <= NARROW:
        return _ranks(scores) < count
    limit = _limit(scores, count)
    gone = scores <= limit
    if (gone.sum(1) == count).all():
        return gone
    below, equal = scores < limit, scores == limit
    left = count - below.sum(1, keepdim=True)
    return below | (equal & (equal.cumsum(1) <= left))


def _limit(scores: Tensor, count: int) -> Tensor:
    """The `count`-th lowest of each row, (rows, 1). On the CPU by NumPy, whose selection takes a tenth of the time."""
    if scores.device.type == "cpu" and scores.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(np.partition(scores.numpy(), count - 1, axis=1)[:, count - 1 : count].copy())
    return scores.kthvalue(count, dim=1, keepdim=True).values


def _ranks(scores: Tensor) -> Tensor:
    """The place of each entry in its short row, from 0 for the lowest: by comparing columns, all rows at once."""
    columns = scores.T.contiguous()
    ranks = torch.zeros(columns.shape, dtype=torch.int8, device=scores.device)
    for first in range(len(columns)):
        for second in range(first + 1, len(columns)):
            is_higher = columns[first] > columns[second]
            ranks[first] += is_higher
            ranks[second] += ~is_higher
    return ranks.T.contiguous()


def by_row(scores: Tensor, share: float) -> Tensor:
    """The mask (out, in) that takes the same share from every row."""
    return ~lowest(scores, removed(share, scores.shape[1]))


def by_matrix(scores: Tensor, share: float) -> Tensor:
    """The mask (out, in) that takes the lowest of the whole matrix."""
    return ~lowest(scores.reshape(1, -1), removed(share, scores.numel())).view(scores.shape)


def by_pattern(scores: Tensor, kept: NM) -> Tensor:
    """The mask (out, in) that keeps the best n of every m neighbours of a row; m must divide in."""
    groups = scores.reshape(-1, kept.m)
    return ~lowest(groups, kept.m - kept.n).view(scores.shape)


def everywhere(scores: Mapping[str, Tensor], share: float) -> Masks:
    """Masks that take the lowest of all matrices together."""
    flat = torch.cat([value.flatten() for value in scores.values()])
    gone = lowest(flat[None], removed(share, len(flat)))[0]
    parts = torch.split(gone, [value.numel() for value in scores.values()])
    return {name: ~part.view(value.shape) for (name, value), part in zip(scores.items(), parts, strict=True)}


def save(masks: Mapping[str, Tensor], path: Path) -> None:
    """One bit a weight: uint8 as numpy.packbits makes them, with the shapes in the file's metadata."""
    packed = {name: np.packbits(mask.cpu().numpy()) for name, mask in masks.items()}
    save_file(packed, path, metadata={name: ",".join(map(str, mask.shape)) for name, mask in masks.items()})


def load(path: Path) -> Masks:
    """What `save` has written."""
    from safetensors import safe_open

    found: Masks = {}
    with safe_open(path, "np") as file:
        shapes = file.metadata() or {}
        for name in file.keys():  # noqa: SIM118 - no mapping
            out, inputs = map(int, shapes[name].split(","))
            bits = np.unpackbits(file.get_tensor(name), count=out * inputs)
            found[name] = torch.from_numpy(bits.astype(bool)).view(out, inputs)
    return found
