"""Images with classes: the built-in digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from gpu_jobs.context import Context
from gpu_jobs.engine.data import builtin, cache
from gpu_jobs.engine.data.division import cutoff, digest
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
    parts = {"format": FORMAT, "digits": builtin.digits_version(), "eval_fraction": source.eval_fraction}
    key = cache.key_of(parts)
    folder = cache.folder(context.cache_dir / "data", key, lambda folder: _build(folder, source.eval_fraction))
    train, evaluation = (ImageSplit(*_read(folder, side)) for side in ("train", "eval"))
    classes, shape = json.loads((folder / "images.json").read_text())
    return Data(train, evaluation, None, 0, classes, key[:16], source.name, 0, tuple(shape))


def _read(folder: Path, side: str) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.load(folder / f"{side}.pixels.npy", mmap_mode="r", allow_pickle=False)
    return pixels, np.load(folder / f"{side}.labels.npy", mmap_mode="r", allow_pickle=False)


def _build(folder: Path, eval_fraction: float) -> None:
    pixels, classes = builtin.digits()
    digests = np.array([digest(image.tobytes()) for image in pixels], np.uint64)
    is_eval = digests <= cutoff(digests, np.ones(len(digests), np.int64), eval_fraction)
    for side, chosen in (("train", ~is_eval), ("eval", is_eval)):
        np.save(folder / f"{side}.pixels.npy", pixels[chosen])
        np.save(folder / f"{side}.labels.npy", classes[chosen])
    names = [str(number) for number in np.unique(classes)]
    (folder / "images.json").write_text(json.dumps([names, pixels.shape[1:]]))
