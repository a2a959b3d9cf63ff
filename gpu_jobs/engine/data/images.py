"""Images with classes: the built-in digits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gpu_jobs.context import Context
from gpu_jobs.engine.data import builtin, cache
from gpu_jobs.engine.data.division import digest, divide
from gpu_jobs.engine.data.splits import Data, ImageSplit
from gpu_jobs.errors import DataError
from gpu_jobs.sources import BuiltinData, Source

FORMAT = 1  # raise when the meaning of the files changes


def load(source: Source, context: Context) -> Data:
    """The digits, divided; the first call loads scikit-learn, later ones read the files of the first."""
    if not isinstance(source, BuiltinData) or source.name != "digits":
        raise DataError(
            "image classification has the built-in data 'digits' only: set data to it, or choose another task"
        )
    shares = source.shares()
    fractions = {f"{side}_fraction": share for side, share in shares.items()}
    key = cache.key_of({"format": FORMAT, "digits": builtin.digits_version(), **fractions})
    folder = cache.folder(context.cache_dir / "data", key, lambda folder: _build(folder, shares))
    splits = {side: ImageSplit(*_read(folder, side)) for side in ("train", *shares)}
    classes, shape = json.loads((folder / "images.json").read_text())
    train, evaluation, test = splits["train"], splits["eval"], splits.get("test")
    return Data(train, evaluation, None, 0, classes, key[:16], source.name, 0, tuple(shape), test)


def _read(folder: Path, side: str) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.load(folder / f"{side}.pixels.npy", mmap_mode="r", allow_pickle=False)
    return pixels, np.load(folder / f"{side}.labels.npy", mmap_mode="r", allow_pickle=False)


def _build(folder: Path, shares: Mapping[str, float]) -> None:
    pixels, classes = builtin.digits()
    digests = np.array([digest(image.tobytes()) for image in pixels], np.uint64)
    division = divide(digests, np.ones(len(digests), np.int64), shares)
    sides = np.array([division.side(int(value)) for value in digests])
    for side in ("train", *shares):
        chosen = sides == side
        np.save(folder / f"{side}.pixels.npy", pixels[chosen])
        np.save(folder / f"{side}.labels.npy", classes[chosen])
    names = [str(number) for number in np.unique(classes)]
    (folder / "images.json").write_text(json.dumps([names, pixels.shape[1:]]))
