"""Which weights runs have kept, held against each other: the overlap of their masks, whole and per layer.

    overlap = |kept by both| / |kept by either|        (Jaccard 1901)

Two masks that know nothing of each other and keep shares p and q overlap by p q / (p + q - p q): a third at one half.
That is `chance`; only what lies above it is agreement. Layers count that both runs pruned and that have one shape in
both. A run's `masks.safetensors` holds one uint8 tensor a layer, numpy.packbits of the (out, in) mask with 1 for kept,
and "out,in" in its metadata.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, Field

from webapp.accounts.errors import Invalid
from webapp.runs import blobs
from webapp.runs.models import Artifact, Run

FILE = "masks.safetensors"
MOST_RUNS = 12
MOST_BYTES = 256 << 20  # of all files together
Layers = dict[str, str]  # name -> "out,in"


class Layer(BaseModel):
    name: str
    weights: int
    overlap: float


class Pair(BaseModel):
    """Two runs, by their numbers."""

    one: int
    other: int
    overlap: float | None = Field(description="Of the layers that both pruned; null where there is none.")
    chance: float | None = Field(description="What two masks would share that know nothing of each other.")
    weights: int = Field(description="In the layers that count.")
    layers: list[Layer]


class Kept(BaseModel):
    run: int
    weights: int = Field(description="In all layers that it pruned.")
    share: float = Field(description="Of these, what it kept.")


class Overlap(BaseModel):
    runs: list[Kept]
    pairs: list[Pair]


class _File(NamedTuple):
    run: int
    handle: Any  # safetensors' safe_open
    layers: Layers


def has_masks(runs: Sequence[Run]) -> list[Run]:
    """Those that have left a file of masks, in their order."""
    there = set(Artifact.objects.filter(run__in=runs, path=FILE).values_list("run_id", flat=True))
    return [run for run in runs if run.pk in there]


def overlap(runs: Sequence[Run]) -> Overlap:
    """Of runs that the person may see. Raises Invalid where these are too few or too many, have no masks, or too large
    ones; reads one layer of all runs at a time, from files in a temporary folder."""
    if not 2 <= len(runs) <= MOST_RUNS:
        raise Invalid.field("run", f"Name two to {MOST_RUNS} different runs, not {len(runs)}.")
    artifacts = _artifacts(runs)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        files = [_opened(artifact, Path(folder), stack) for artifact in artifacts]
        return _compared(files)


def _artifacts(runs: Sequence[Run]) -> list[Artifact]:
    found = {one.run_id: one for one in Artifact.objects.filter(run__in=runs, path=FILE).select_related("blob")}
    if lacking := [run.pk for run in runs if run.pk not in found]:
        raise Invalid.field("run", f"Run {lacking[0]} has no {FILE}: only runs that pruned single weights leave one.")
    size = sum(one.blob.size for one in found.values())
    if size > MOST_BYTES:
        message = f"The masks hold {size:,} bytes, and at most {MOST_BYTES:,} are compared: name fewer runs."
        raise Invalid.field("run", message)
    return [found[run.pk] for run in runs]


def _opened(artifact: Artifact, folder: Path, stack: contextlib.ExitStack) -> _File:
    from safetensors import SafetensorError, safe_open

    path = folder / str(artifact.run_id)
    blobs.fetch(artifact.blob, path)
    try:
        handle = stack.enter_context(safe_open(path, framework="np"))
    except SafetensorError as error:
        raise Invalid.field("run", f"The {FILE} of run {artifact.run_id} can't be read: {error}.") from None
    shapes = handle.metadata() or {}
    return _File(artifact.run_id, handle, {name: shapes[name] for name in handle.keys() if name in shapes})  # noqa: SIM118


class _Counts(NamedTuple):
    """Of one layer in one pair."""

    name: str
    weights: int
    both: int
    either: int
    one: int
    other: int

    @property
    def overlap(self) -> float:
        return self.both / self.either if self.either else 1.0


def _compared(files: Sequence[_File]) -> Overlap:
    counts: dict[tuple[int, int], list[_Counts]] = {pair: [] for pair in itertools.combinations(range(len(files)), 2)}
    kept = [[0, 0] for _ in files]  # weights kept, and all
    for name in sorted({name for file in files for name in file.layers}):
        masks = {place: _mask(file, name) for place, file in enumerate(files) if name in file.layers}
        for place, (mask, size) in masks.items():
            kept[place][0] += _ones(mask)
            kept[place][1] += size
        for pair, told in counts.items():
            told += _counted(name, pair, files, masks)
    return Overlap(
        runs=[Kept(run=file.run, weights=size, share=ones / size if size else 1.0)
              for file, (ones, size) in zip(files, kept, strict=True)],
        pairs=[_pair(files[one].run, files[other].run, told) for (one, other), told in counts.items()],
    )  # fmt: skip


def _counted(
    name: str, pair: tuple[int, int], files: Sequence[_File], masks: dict[int, tuple[Any, int]]
) -> Iterator[_Counts]:
    """One layer, where both have it in one shape."""
    one, other = pair
    if one in masks and other in masks and files[one].layers[name] == files[other].layers[name]:
        (mine, size), (theirs, _) = masks[one], masks[other]
        first, second, both = _ones(mine), _ones(theirs), _ones(mine & theirs)
        yield _Counts(name, size, both, first + second - both, first, second)


def _mask(file: _File, name: str) -> tuple[Any, int]:
    """The packed bits and how many of them are weights; those that only fill the last byte are 0."""
    shape = file.layers[name].split(",")
    size = int(shape[0]) * int(shape[1]) if len(shape) == 2 and all(part.isdecimal() for part in shape) else -1
    bits = file.handle.get_tensor(name)
    if bits.dtype != np.uint8 or bits.size != -(-size // 8):
        raise Invalid.field("run", f"The {FILE} of run {file.run} holds no mask of {file.layers[name]} for {name}.")
    return bits.reshape(-1), size


def _ones(bits: Any) -> int:
    return int(np.bitwise_count(bits).sum(dtype=np.int64))


def _pair(one: int, other: int, counts: Sequence[_Counts]) -> Pair:
    either, weights = sum(told.either for told in counts), sum(told.weights for told in counts)
    chances = [_chance(told.one / told.weights, told.other / told.weights) * told.weights for told in counts]
    return Pair(
        one=one, other=other, weights=weights,
        overlap=(sum(told.both for told in counts) / either if either else 1.0) if counts else None,
        chance=sum(chances) / weights if weights else None,
        layers=[Layer(name=told.name, weights=told.weights, overlap=told.overlap) for told in counts],
    )  # fmt: skip


def _chance(p: float, q: float) -> float:
    return p * q / (p + q - p * q) if p or q else 1.0
